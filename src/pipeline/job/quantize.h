// The main job: score -> plan -> write -> verify, in one go or from a plan or scores made before.
// What each step found is returned for the command line, the report and the tests.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/job_folder.h"
#include "eval/evaluate.h"
#include "pipeline/choose/costs.h"
#include "pipeline/measure/plan_search.h"
#include "pipeline/output/checkpoint.h"
#include "pipeline/round/rounding.h"

namespace strata::pipeline {

struct QuantizeRequest {
  std::filesystem::path output;
  bool overwrite = false;
  const Target* target = nullptr;
  PlanRequest plan;
  std::filesystem::path plan_file, scores_file;  ///< empty: made here
  std::filesystem::path imatrix;                 ///< rtn: importances from this file instead of the calibration text
  SearchOptions search{};                        ///< preset best with a budget; without steps: none
  CalibrationRequest calibration;
  codec::ScaleFit scale_fit = codec::ScaleFit::search;
  RoundingOptions gptq;           ///< its fit is scale_fit
  CalibrationRequest rounding{};  ///< the set that gptq rounds by; larger than the one that scores are made on

  std::optional<std::uint64_t> memory_limit{};  ///< resident bytes; hidden states are spilled for it, see estimate.h
  /// Told what happens while it happens: {"event": ...}, docs/files.md.
  std::function<void(const json&)> on_event{};

  /// What the result depends on, by the option's name, for the journal: two runs whose jobs are equal write the same
  /// bytes. Files are there by their content.
  json job(const model::Model& model) const;
};

/// Everything that is known before the first byte is written.
struct Prepared {
  PlanResult plan;
  std::vector<std::vector<float>> importance;             ///< by linear, if known; empty under ScaleFit::minmax
  std::optional<importance::CalibrationSet> calibration;  ///< the one used, if any was needed
  std::optional<importance::Scores> scores;               ///< made or read, if any
};

/// Refuses an output that exists, reads or makes scores and plan, and the importances for the scale search.
/// The tokenizer is read only when a calibration text is needed. With a job, what is made is kept there, and what an
/// earlier run kept is not made again. Throws Error as its parts do.
Prepared prepare(const model::Model& model, const QuantizeRequest& request, JobFolder* job = nullptr);

struct Written {
  std::uint64_t bytes = 0;
  std::filesystem::path path;          ///< that opens it: the output, or the first file of a split one
  std::vector<RoundedLinear> linears;  ///< gptq, of this run and those before it
  std::vector<BlockLoss> tuned;        ///< of the blocks that this run has tuned, in order
  std::optional<importance::CalibrationSource> calibration;  ///< gptq
};
/// Writes the checkpoint, from where an earlier run of the job was ended, and publishes it.
Written write(const model::Model& model, Prepared& prepared, const QuantizeRequest& request, JobFolder& job);

/// KL divergence of the written checkpoint from the model, on `sequences` pieces of text that the calibration did not
/// use (verification_text.h); the result's `text` says what they are.
eval::Evaluation verify(const model::Model& model, const QuantizeRequest& request, const Written& written,
                        std::size_t sequences);

}  // namespace strata::pipeline
