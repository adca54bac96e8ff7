// Counts how much of the calibration files is used, and cuts the pieces after that.
// A text begins for every use at its start, so the longest use decides where the unused part begins.
#include "pipeline/job/verification_text.h"

#include <algorithm>

#include "core/file.h"
#include "model/tokenizer.h"

namespace strata::pipeline {
namespace {

constexpr std::uint64_t kOtherSeed = 0x76657269;  // added to the calibration's seed; its value does not matter

model::Tokenizer tokenizer_of(const model::Model& model) {
  return model::Tokenizer::from_files(model::tokenizer_files(model), model.path().string());
}

/// Tokens from the start of each text that some step uses.
std::size_t used_tokens(const QuantizeRequest& request, const CalibrationRequest& text) {
  std::size_t used = text.samples * text.seq_len;
  if (request.scores_file.empty()) return used;
  const std::string where = request.scores_file.string();
  const auto scored_on = importance::CalibrationSource::from_json(
      get<json>(read_json_file(request.scores_file), "calibration", where), where);
  for (const std::string& file : scored_on.files)
    if (std::ranges::find(text.files, std::filesystem::path(file)) != text.files.end())
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
  CalibrationRequest text = request.plan.method == Method::gptq ? request.rounding : request.calibration;
  const std::size_t used = (used_tokens(request, text) + text.seq_len - 1) / text.seq_len;
  const std::size_t share = std::max<std::size_t>(1, count / std::max<std::size_t>(1, text.sets.size()));
  text.samples = used + share;
  VerificationText result{{}, {names_of(text.files), false}};
  const auto take = [&](const importance::CalibrationSet& set, std::size_t first) {
    const auto begin = set.sequences.begin() + static_cast<std::ptrdiff_t>(std::min(first, set.sequences.size()));
    result.sequences.insert(result.sequences.end(), begin, set.sequences.end());
  };
  const auto sets = make_calibrations(original, tokenizer_of(original.model()), text);
  for (const importance::CalibrationSet& set : sets) take(set, used);
  if (!result.sequences.empty()) return result;
  result.text.used_by_calibration = true;
  for (const importance::CalibrationSet& set : sets)
    take(set, set.sequences.size() - std::min(share, set.sequences.size()));
  return result;
}

}  // namespace

VerificationText verification_text(engine::Engine& original, const QuantizeRequest& request, std::size_t count) {
  if (!request.calibration.files.empty()) return from_files(original, request, count);
  const auto residency = request.memory_limit ? engine::Residency::one_block : engine::Residency::all;
  engine::Engine writer(original.model(), kernel::Precision::bf16, residency);
  CalibrationRequest text = request.calibration;
  text.samples = count;
  text.seed += kOtherSeed;
  return {make_calibration(writer, tokenizer_of(original.model()), text).sequences, {}};
}

}  // namespace strata::pipeline
