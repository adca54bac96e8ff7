// Counts how much of the calibration files is used, and cuts the pieces after that.
// A text begins for every use at its start, so the longest use decides where the unused part begins.
#include "pipeline/job/verification_text.h"

#include <algorithm>

#include "core/file.h"
#include "model/tokenizer.h"
#include "pipeline/job/methods.h"

namespace strata::pipeline {
namespace {

constexpr std::size_t kShortest = 4;              // tokens of a sequence that can be evaluated
constexpr std::uint64_t kOtherSeed = 0x76657269;  // added to the calibration's seed; its value does not matter

/// Tokens from the start of each text that some step uses.
std::size_t used_tokens(const QuantizeRequest& request, const importance::CalibrationRequest& text) {
  const importance::TextSize size = text.size();
  const std::size_t used = size.samples * size.seq_len;
  if (request.scores_file.empty()) return used;
  const std::string where = request.scores_file.string();
  const auto scored_on = importance::CalibrationSource::from_json(
      get<json>(read_json_file(request.scores_file), "calibration", where), where);
  const auto files = text.files();
  for (const std::string& file : scored_on.files)
    if (std::ranges::find(files, std::filesystem::path(file)) != files.end())
      return std::max(used, scored_on.samples * scored_on.seq_len);
  return used;
}

std::string names_of(const std::vector<std::filesystem::path>& files) {
  std::string names;
  for (const auto& file : files) names += (names.empty() ? "" : ", ") + file.filename().string();
  return names;
}

VerificationText from_files(engine::Engine& original, const QuantizeRequest& request, std::size_t count) {
  // The rounding's text is the calibration's, and as long or longer.
  importance::CalibrationRequest text = method_of(request).calibrated ? rounding_text(request) : request.calibration;
  text.seq_len = std::max(kShortest, text.size().seq_len);
  const std::size_t seq_len = *text.seq_len;
  const std::size_t used = (used_tokens(request, text) + seq_len - 1) / seq_len;
  const std::size_t share = std::max<std::size_t>(1, count / text.texts.size());
  text.samples = used + share;
  VerificationText result{{}, {names_of(text.files()), false}};
  const auto take = [&](const importance::CalibrationSet& set, std::size_t first) {
    const auto begin = set.sequences.begin() + static_cast<std::ptrdiff_t>(std::min(first, set.sequences.size()));
    result.sequences.insert(result.sequences.end(), begin, set.sequences.end());
  };
  const auto sets = importance::make_calibrations(original, model::Tokenizer::of(original.model()), text);
  for (const importance::CalibrationSet& set : sets) take(set, used);
  if (!result.sequences.empty()) return result;
  result.text.used_by_calibration = true;
  for (const importance::CalibrationSet& set : sets)
    take(set, set.sequences.size() - std::min(share, set.sequences.size()));
  return result;
}

}  // namespace

VerificationText verification_text(engine::Engine& original, const QuantizeRequest& request, std::size_t count) {
  if (!request.calibration.texts.empty()) return from_files(original, request, count);
  engine::Engine writer(original.model(), kernel::Precision::bf16, residency_of(request));
  importance::CalibrationRequest text = request.calibration;
  text.samples = count;
  text.seq_len = std::max(kShortest, text.size().seq_len);
  text.seed += kOtherSeed;
  return {importance::make_calibration(writer, model::Tokenizer::of(original.model()), text).sequences, {}};
}

}  // namespace strata::pipeline
