// The file is one line of JSON, the job, then a snapshot. It appears whole or not at all, so a line that is the job's
// own is followed by its whole state.
#include "importance/kept_pass.h"

#include <optional>
#include <string_view>
#include <utility>

#include "core/journal.h"
#include "core/seconds.h"
#include "kernel/dispatch.h"

namespace strata::importance {

KeptPass::KeptPass(std::filesystem::path file, const json& job, PassState& pass, State state, SequenceSharing sharing)
    : file_(std::move(file)),
      job_(json_text(job) + "\n"),
      pass_(pass),
      state_(std::move(state)),
      sharing_(sharing),
      pause_(seconds_between_notes()) {}

bool KeptPass::read() {
  const Ranks& ranks = sharing_.ranks;
  std::error_code code;
  std::optional<MappedFile> kept;
  std::span<const std::byte> bytes;
  if (ranks.is_first() && !file_.empty() && std::filesystem::exists(file_, code)) {
    bytes = kept.emplace(file_).bytes();
    if (!std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()).starts_with(job_)) kept.reset();
  }
  if (!ranks.decide(kept.has_value())) return false;
  if (kept) bytes = bytes.subspan(job_.size());
  std::vector<std::byte> sent;
  if (ranks.many()) {
    sent.assign(bytes.begin(), bytes.end());
    ranks.broadcast(sent);
    bytes = sent;
  }
  Snapshot snapshot(bytes, file_.string());
  visit(snapshot);
  cut_to_share(pass_.hidden);
  cut_to_share(pass_.shared);
  return true;
}

void KeptPass::cut_to_share(std::vector<float>& states) const {
  if (!sharing_.ranks.many() || states.empty()) return;
  const std::vector<std::size_t> begins = sequences_of_ranks(sharing_.ranks, sharing_.sequences);
  const std::size_t rank = sharing_.ranks.rank(), floats = states.size() / sharing_.sequences;
  const auto at = [&](std::size_t sequence) { return states.begin() + static_cast<std::ptrdiff_t>(sequence * floats); };
  states = std::vector<float>(at(begins[rank]), at(begins[rank + 1]));
}

void KeptPass::keep() {
  const Ranks& ranks = sharing_.ranks;
  if (!ranks.decide(!file_.empty())) return;
  const auto begin = Clock::now();
  if (ranks.many()) {
    PassState whole{pass_.blocks, ranks.collect(std::span<const float>(pass_.hidden)),
                    ranks.collect(std::span<const float>(pass_.shared))};
    std::swap(pass_, whole);
    if (ranks.is_first()) write();
    std::swap(pass_, whole);
  } else {
    write();
  }
  kept_ = Clock::now();
  took_ = seconds_since(begin);
}

void KeptPass::write() {
  OutputFile output(file_);
  output.write(job_);
  Snapshot snapshot(output);
  visit(snapshot);
  snapshot.flush();
  output.commit();
}

void KeptPass::keep_if_due() {
  if (sharing_.ranks.decide(seconds_since(kept_) >= pause_ * (1.0 + 10.0 * took_))) keep();
}

std::filesystem::path pass_of(const std::filesystem::path& journal) {
  return journal.empty() ? journal : std::filesystem::path(journal.string() + ".pass");
}

json pass_job(std::string_view kind, const engine::Engine& engine, const CalibrationSet& set) {
  return {{"format", "strata pass"},
          {"version", 3},
          {"job", kind},
          {"model", engine.model().identity()},
          {"calibration", set.source.identity()},
          {"f32", engine.precision() == kernel::Precision::f32},
          {"instruction set", kernel::selected_variant().name}};
}

}  // namespace strata::importance
