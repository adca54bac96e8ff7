// A GGUF model of one block, of any type, for tests of what reads such files.
// All its bytes are random: norms, too, may be anything.
#pragma once
#include <filesystem>
#include <string>

#include "core/random.h"
#include "format/gguf_write.h"
#include "support/file_bytes.h"

namespace strata::model {

/// A block of hidden size 256 whose matrices all have one type.
inline void write_model(const std::filesystem::path& path, const std::string& architecture, std::uint32_t type) {
  format::GgufKeys keys;
  keys.add("general.architecture", architecture);
  const auto add = [&](const char* key, std::uint32_t value) { keys.add(architecture + key, value); };
  add(".embedding_length", 256);
  add(".feed_forward_length", 512);
  add(".block_count", 1);
  add(".attention.head_count", 4);
  add(".attention.head_count_kv", 2);
  add(".context_length", 128);
  keys.add(architecture + ".attention.layer_norm_rms_epsilon", 1e-5f);
  std::vector<format::GgufTensorSpec> tensors = {
      {"token_embd.weight", type, {40, 256}},      {"output_norm.weight", 0, {256}},
      {"blk.0.attn_norm.weight", 0, {256}},        {"blk.0.ffn_norm.weight", 0, {256}},
      {"blk.0.attn_q.weight", type, {256, 256}},   {"blk.0.attn_k.weight", type, {128, 256}},
      {"blk.0.attn_v.weight", type, {128, 256}},   {"blk.0.attn_output.weight", type, {256, 256}},
      {"blk.0.ffn_gate.weight", type, {512, 256}}, {"blk.0.ffn_up.weight", type, {512, 256}},
      {"blk.0.ffn_down.weight", type, {256, 512}}};
  if (architecture == "qwen2")
    for (const auto& [name, size] : {std::pair{"attn_q", 256u}, {"attn_k", 128u}, {"attn_v", 128u}})
      tensors.push_back({fmt::format("blk.0.{}.bias", name), 0, {size}});
  const format::GgufLayout layout = format::lay_out_gguf(keys, tensors);
  format::GgufWriter writer(path, layout);
  Random random(type + 1);
  for (const format::GgufTensorSpec& tensor : layout.tensors) {
    format::Bytes data(tensor.bytes());
    for (std::byte& byte : data) byte = static_cast<std::byte>(random.next());
    writer.write(data);
  }
  writer.commit();
}

}  // namespace strata::model
