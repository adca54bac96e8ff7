// The choice of the container, which is the target's.
// Everything that differs between containers is in the class of each.
#include "pipeline/output/output.h"

#include <algorithm>

#include "format/gguf.h"
#include "pipeline/output/gguf_file.h"
#include "pipeline/output/mlx_folder.h"
#include "pipeline/output/safetensors_folder.h"

namespace strata::pipeline {
namespace fs = std::filesystem;

std::unique_ptr<Output> plan_output(const model::Model& model, Codecs codecs, const Target& target,
                                    std::uint64_t shard_bytes, DType dense, MeasuredScales scales) {
  STRATA_CHECK(scales.cache.empty() || target.container == codec::Container::compressed_tensors, "{}", target.name);
  if (target.container == codec::Container::gguf)
    return std::make_unique<GgufFile>(model, std::move(codecs), shard_bytes, dense);
  STRATA_CHECK(dense == DType::bf16, "a folder holds dense matrices in bf16");
  if (target.container == codec::Container::mlx)
    return std::make_unique<MlxFolder>(model, std::move(codecs), shard_bytes);
  return std::make_unique<SafetensorsFolder>(model, std::move(codecs), target.activations, shard_bytes,
                                             std::move(scales));
}

void refuse_source(const model::Model& source, const fs::path& output) {
  std::error_code code;
  if (fs::equivalent(output, source.path(), code))
    fail("{}: is the model itself, and would be lost; give another --output", output.string());
}

fs::path existing_output(const fs::path& output, const Target& target) {
  std::error_code code;
  if (target.extension().empty() || fs::exists(output, code)) return output;
  fs::path stem = output;
  return format::find_first_gguf_part(stem.replace_extension()).value_or(output);
}

void remove_replaced(const fs::path& output, const Target& target, const std::vector<fs::path>& names,
                     const model::Model& source) {
  if (target.extension().empty()) return;
  fs::path stem = output;
  std::vector<fs::path> old = format::gguf_parts(stem.replace_extension());
  old.push_back(output);
  std::error_code code;
  if (std::ranges::any_of(old, [&](const fs::path& file) { return fs::equivalent(file, source.path(), code); })) return;
  const auto is_new = [&](const fs::path& file) {
    return std::ranges::any_of(names, [&](const fs::path& name) { return name.filename() == file.filename(); });
  };
  for (const fs::path& file : old)
    if (!is_new(file) && fs::is_regular_file(fs::symlink_status(file, code))) fs::remove(file, code);
}

}  // namespace strata::pipeline
