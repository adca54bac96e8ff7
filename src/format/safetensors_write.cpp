// Writing safetensors: headers, shards and their index, as text. Who owns the tensors' bytes writes them.
// The index is what transformers' save_pretrained gives: json.dumps(indent=2, sort_keys=True) and a newline.
#include <set>

#include "core/checked.h"
#include "core/error.h"
#include "core/json.h"
#include "format/safetensors.h"

namespace strata::format {

std::uint64_t TensorSpec::bytes() const {
  const auto count = product(shape);
  const auto total = count ? multiply(*count, dtype_bytes(dtype)) : std::nullopt;
  STRATA_CHECK(total.has_value(), "{}: shape overflows", name);
  return *total;
}

std::string safetensors_header(std::span<const TensorSpec> tensors) {
  // Text is put together here, one entry after the other: an ordered JSON object takes quadratic time to fill.
  std::string text = R"({"__metadata__":{"format":"pt"})";
  std::set<std::string_view> names;
  std::uint64_t offset = 0;
  for (const TensorSpec& tensor : tensors) {
    STRATA_CHECK(names.insert(tensor.name).second && tensor.name != "__metadata__", "{}", tensor.name);
    const std::uint64_t end = offset + tensor.bytes();
    text += fmt::format(R"(,{}:{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", json(tensor.name).dump(),
                        dtype_name(tensor.dtype), json(tensor.shape).dump(), offset, end);
    offset = end;
  }
  text += '}';
  text.append(round_up(text.size(), 8) - text.size(), ' ');
  std::string header(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) header[i] = static_cast<char>((text.size() >> (8 * i)) & 0xFF);
  return header + text;
}

std::vector<std::vector<TensorSpec>> cut_shards(std::vector<TensorSpec> tensors, std::uint64_t shard_bytes) {
  std::vector<std::vector<TensorSpec>> shards(1);
  std::uint64_t used = 0;
  for (TensorSpec& tensor : tensors) {
    const std::uint64_t bytes = tensor.bytes();
    const bool full = shard_bytes != 0 && (used > shard_bytes || bytes > shard_bytes - used);
    if (full && !shards.back().empty()) {
      shards.emplace_back();
      used = 0;
    }
    shards.back().push_back(std::move(tensor));
    used += bytes;
  }
  return shards;
}

std::string shard_name(std::size_t index, std::size_t total) {
  STRATA_CHECK(index < total, "{} of {}", index, total);
  return total == 1 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, total);
}

std::string shard_index(std::span<const std::vector<TensorSpec>> shards) {
  nlohmann::json weight_map = nlohmann::json::object();
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < shards.size(); ++i)
    for (const TensorSpec& tensor : shards[i]) {
      weight_map[tensor.name] = shard_name(i, shards.size());
      total += tensor.bytes();
    }
  const nlohmann::json index = {{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}};
  return index.dump(2, ' ', true) + "\n";
}

}  // namespace strata::format
