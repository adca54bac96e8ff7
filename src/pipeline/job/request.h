// What a user asks the main job for. Every option is declared once, by visit(): the command line, the Python module and
// the identity of an unfinished job are made from that.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "core/options.h"
#include "engine/residency.h"
#include "importance/calibration.h"
#include "model/model.h"
#include "pipeline/measure/search.h"
#include "pipeline/plan/request.h"
#include "pipeline/plan/target.h"
#include "pipeline/round/options.h"

namespace strata::pipeline {

struct Method;

struct QuantizeRequest {
  std::filesystem::path model, output;
  std::optional<std::string> target;             ///< unset: llama.cpp for an output that ends in .gguf, else vllm
  PlanRequest plan;                              ///< what make_plan is asked for
  std::filesystem::path plan_file, scores_file;  ///< empty: the plan and the scores are made here
  SearchRequest search;                          ///< preset best: a search that follows the first plan
  importance::CalibrationRequest calibration;    ///< the text that scores are made on
  std::optional<std::string> method;             ///< unset: rtn, or gptq where --tune asks for what starts from it
  codec::ScaleFit scale_fit = codec::ScaleFit::search;
  std::filesystem::path imatrix;              ///< importances of inputs in place of the calibration text's
  RoundingOptions rounding;                   ///< how a calibrated method rounds
  std::optional<std::uint64_t> memory_limit;  ///< resident bytes; hidden states are spilled to a file for it
  bool overwrite = false, restart = false, verify = true, report = true;
  std::size_t verify_samples = 8;
};
void visit(QuantizeRequest& request, OptionVisitor& visitor);

/// What the request leaves open, decided. Throws UsageError for options that contradict each other.
const Target& target_of(const QuantizeRequest& request);
const Method& method_of(const QuantizeRequest& request);
/// How much of a model passes over the whole of it hold in memory.
engine::Residency residency_of(const QuantizeRequest& request);
/// The text that a calibrated method rounds by: the calibration's, and more of it unless its size was asked for.
importance::CalibrationRequest rounding_text(const QuantizeRequest& request);
/// Throws UsageError, naming the options, for a request that no model could make sense of.
void check_options(const QuantizeRequest& request);

/// The request for the runtime that its plan was made for, where there is a plan and the user names no runtime.
QuantizeRequest with_target_of_plan(QuantizeRequest request);
/// Goes on with the kernels that the unfinished job of this output began with (kernel::keep_variant), since sums of
/// others differ in their last bits. To be called before anything is computed.
void keep_kernels(const QuantizeRequest& request);
/// What the result depends on, by the option's name: two jobs of the same identity write the same bytes. Files are in
/// it by their content, the model by its fingerprint.
json job_identity(const QuantizeRequest& request, const model::Model& model);

}  // namespace strata::pipeline
