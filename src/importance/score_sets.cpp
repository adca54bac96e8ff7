// Several calibration sets, one after another: each has a journal of its own.
#include "core/error.h"
#include "core/journal.h"
#include "importance/kept_pass.h"
#include "importance/score.h"

namespace strata::importance {
namespace {

/// The journal of calibration set `index` (from 0) of a request.
std::filesystem::path journal_of(const MeasureRequest& request, std::size_t index) {
  if (request.journal.empty() || index == 0) return request.journal;
  return request.journal.string() + fmt::format(".{}", index + 1);
}

}  // namespace

std::vector<std::filesystem::path> kept_files(const MeasureRequest& request, std::size_t sets) {
  std::vector<std::filesystem::path> files;
  for (std::size_t i = 0; i < sets; ++i) {
    const std::filesystem::path journal = journal_of(request, i), pass = pass_of(journal);
    // A run that was killed while it kept the pass has left a part of that.
    for (const auto& file : {journal, pass, std::filesystem::path(pass.string() + ".part")}) {
      std::error_code code;
      if (!journal.empty() && std::filesystem::exists(file, code)) files.push_back(file);
    }
  }
  return files;
}

void remove_kept(const MeasureRequest& request, std::size_t sets) {
  for (const std::filesystem::path& file : kept_files(request, sets)) Journal::remove(file);
}

ScoreResult score(engine::Engine& engine, std::span<const CalibrationSet> sets, const ScoreRequest& request,
                  Combine how) {
  STRATA_CHECK(!sets.empty());
  std::vector<Scores> scores;
  std::optional<ScoreResult> first;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    ScoreRequest of_set = request;
    of_set.measure.journal = journal_of(request.measure, i);
    ScoreResult result = score(engine, sets[i], of_set);
    scores.push_back(std::move(result.scores));
    if (!first) {
      first.emplace(std::move(result));
    } else {
      for (const auto& [name, seconds] : result.seconds) first->seconds[name] += seconds;
    }
  }
  first->scores = combine(std::move(scores), how);
  return std::move(*first);
}

}  // namespace strata::importance
