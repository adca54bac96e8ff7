// The file is one line of JSON, the job, then a snapshot. It appears whole or not at all, so a line that is the job's
// own is followed by its whole state.
#include "importance/kept_pass.h"

#include <string_view>

#include "core/journal.h"
#include "core/seconds.h"
#include "kernel/dispatch.h"

namespace strata::importance {

KeptPass::KeptPass(std::filesystem::path file, const json& job, State state)
    : file_(std::move(file)), job_(json_text(job) + "\n"), state_(std::move(state)), pause_(seconds_between_notes()) {}

bool KeptPass::read() const {
  std::error_code code;
  if (file_.empty() || !std::filesystem::exists(file_, code)) return false;
  const MappedFile kept(file_);
  const std::span<const std::byte> bytes = kept.bytes();
  if (!std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()).starts_with(job_)) return false;
  Snapshot snapshot(bytes.subspan(job_.size()), file_.string());
  state_(snapshot);
  return true;
}

void KeptPass::keep() {
  if (file_.empty()) return;
  const auto begin = Clock::now();
  OutputFile output(file_);
  output.write(job_);
  Snapshot snapshot(output);
  state_(snapshot);
  snapshot.flush();
  output.commit();
  kept_ = Clock::now();
  took_ = seconds_since(begin);
}

void KeptPass::keep_if_due() {
  if (seconds_since(kept_) >= pause_ * (1.0 + 10.0 * took_)) keep();
}

json pass_job(std::string_view kind, const engine::Engine& engine, const CalibrationSet& set) {
  return {{"format", "strata pass"},
          {"version", 3},
          {"job", kind},
          {"model", engine.model().fingerprint()},
          {"calibration", set.source.identity()},
          {"f32", engine.precision() == kernel::Precision::f32},
          {"instruction set", kernel::selected_variant().name}};
}

}  // namespace strata::importance
