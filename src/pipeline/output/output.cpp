// The choice of the container, which is the target's.
// Everything that differs between containers is in the class of each.
#include "pipeline/output/output.h"

#include "format/gguf.h"
#include "pipeline/output/gguf_file.h"
#include "pipeline/output/safetensors_folder.h"

namespace strata::pipeline {

std::unique_ptr<Output> plan_output(const model::Model& model, Codecs codecs, const Target& target,
                                    std::uint64_t shard_bytes, DType dense) {
  if (target.container == codec::Container::gguf)
    return std::make_unique<GgufFile>(model, std::move(codecs), shard_bytes, dense);
  STRATA_CHECK(dense == DType::bf16, "a folder holds dense matrices in bf16");
  return std::make_unique<SafetensorsFolder>(model, std::move(codecs), target.activations, shard_bytes);
}

std::filesystem::path existing_output(const std::filesystem::path& output, const Target& target) {
  std::error_code code;
  if (target.extension().empty() || std::filesystem::exists(output, code)) return output;
  std::filesystem::path stem = output;
  return format::find_first_gguf_part(stem.replace_extension()).value_or(output);
}

}  // namespace strata::pipeline
