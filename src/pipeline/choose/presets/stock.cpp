// Preset stock: the types of --like, tensor by tensor: those of llama.cpp's own mix, as llama-quantize would make it,
// or of somebody's file. A baseline of the same bytes.
#include "format/ggml_types.h"
#include "pipeline/choose/limits.h"
#include "pipeline/choose/presets/makers.h"

namespace strata::pipeline {
namespace {

/// Groups of GGUF files have one linear each. F16, which the mixes give rows that no block divides, is bf16 here.
Assignment wanted(const Problem& problem) {
  const auto* budget = std::get_if<StockBudget>(&problem.request().budget);
  if (budget == nullptr) fail_usage("preset stock: name the mix or the file with --like, such as --like Q4_K_M");
  const std::vector<StockTensor> mix = stock_of(problem, *budget);
  Assignment result;
  for (const model::FusionGroup& group : problem.architecture().groups) {
    const std::uint32_t type = mix[group.linears.front()].type;
    const codec::Codec* codec = format::codec_of_ggml_type(type);
    if (codec == nullptr && !format::ggml_dense_type(type))
      fail("preset stock: {} is {} in {}, which is not written here; preset best spends the same bytes", group.name,
           format::ggml_type_name(type), budget->mix);
    result.push_back(codec != nullptr ? codec : &codec::by_name("keep"));
  }
  return result;
}

}  // namespace

Assignment smallest_stock(const Problem& problem) { return problem.given(wanted(problem)); }

Made make_stock(const Problem& problem, ByteLimit) { return filled(problem, wanted(problem)); }

}  // namespace strata::pipeline
