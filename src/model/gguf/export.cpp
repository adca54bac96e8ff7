// Keys of the architecture, from the parsed configuration.
// Keys of the tokenizer are made in vocabulary.cpp.
#include "model/gguf/export.h"

#include <algorithm>
#include <cmath>

#include "model/families.h"
#include "model/gguf/config.h"
#include "model/gguf/experts.h"
#include "model/gguf/families.h"

namespace strata::model {
namespace {

std::string_view gguf_architecture(const Architecture& a) { return find_family(a.model_type)->gguf; }

/// The smallest window where blocks have one: llama.cpp has no sliding window for these architectures, which matters
/// only for texts longer than the window.
std::size_t context_length(const Architecture& a) {
  std::size_t length = a.max_position;
  if (gguf_family(gguf_architecture(a)).window_pattern != 0) return length;
  for (const BlockAttention& block : a.attention)
    if (block.window != 0) length = std::min(length, block.window);
  return length;
}

/// llama.cpp multiplies cosine and sine by 1 + 0.1 ln(factor) besides attn_factor.
void add_yarn(format::GgufKeys& keys, const Rope& rope, const std::string& key) {
  keys.add(key + "type", "yarn");
  keys.add(key + "factor", static_cast<float>(rope.factor));
  keys.add(key + "original_context_length", static_cast<std::uint32_t>(rope.original_max_position));
  const double magnitude = rope.factor <= 1 ? 1.0 : 1.0 + 0.1 * std::log(rope.factor);
  keys.add(key + "attn_factor", static_cast<float>(rope.attention_factor / magnitude));
  keys.add(key + "yarn_beta_fast", static_cast<float>(rope.beta_fast));
  keys.add(key + "yarn_beta_slow", static_cast<float>(rope.beta_slow));
}

void add_rope(format::GgufKeys& keys, const Architecture& a, const std::string& arch, const std::string& where) {
  const Rope& rope = a.ropes.front();
  keys.add(arch + ".rope.freq_base", static_cast<float>(rope.theta));
  if (gguf_family(arch).interleaved) keys.add(arch + ".rope.dimension_count", static_cast<std::uint32_t>(a.head_dim));
  if (rope.scaling == Rope::Scaling::dynamic)
    fail(
        "{}: dynamic rotary scaling has no counterpart in GGUF; remove rope_scaling from config.json to convert the "
        "model for its original context",
        where);
  if (rope.scaling == Rope::Scaling::linear) {
    keys.add(arch + ".rope.scaling.type", "linear");
    keys.add(arch + ".rope.scaling.factor", static_cast<float>(rope.factor));
  }
  if (rope.scaling == Rope::Scaling::yarn) add_yarn(keys, rope, arch + ".rope.scaling.");
}

void add_architecture(format::GgufKeys& keys, const Architecture& a, const std::string& where) {
  const std::string arch(gguf_architecture(a));
  const auto size = [&](const char* key, std::size_t value) {
    keys.add(arch + key, static_cast<std::uint32_t>(value));
  };
  size(".block_count", a.blocks);
  size(".context_length", context_length(a));
  size(".embedding_length", a.hidden);
  size(".feed_forward_length", a.intermediate);
  size(".attention.head_count", a.heads);
  size(".attention.head_count_kv", a.kv_heads);
  size(".attention.key_length", a.head_dim);
  size(".attention.value_length", a.head_dim);
  size(".vocab_size", a.vocab);
  add_expert_keys(keys, a);
  keys.add(arch + ".attention.layer_norm_rms_epsilon", a.norm_epsilon);
  add_rope(keys, a, arch, where);
  add_part_keys(keys, gguf_family(arch), a);
}

void copy_tokenizer(format::GgufKeys& keys, const format::GgufFile& gguf) {
  for (const auto& [key, value] : gguf.metadata())
    if (key.starts_with("tokenizer.")) keys.add_widened(key, value);
}

}  // namespace

std::size_t interleaved_heads(const Architecture& a, std::string_view hf_name) {
  if (!gguf_family(gguf_architecture(a)).interleaved) return 0;
  if (hf_name.find(".q_proj.") != std::string_view::npos) return a.heads;
  return hf_name.find(".k_proj.") != std::string_view::npos ? a.kv_heads : 0;
}

std::vector<float> rope_divisors(const Architecture& a) {
  std::vector<float> result;
  const Rope& rope = a.ropes.front();
  if (rope.scaling != Rope::Scaling::llama3) return result;
  Rope unscaled = rope;
  unscaled.scaling = Rope::Scaling::none;
  const std::vector<double> plain = inverse_frequencies(unscaled, 0), scaled = inverse_frequencies(rope, 0);
  for (std::size_t i = 0; i < plain.size(); ++i) result.push_back(static_cast<float>(plain[i] / scaled[i]));
  return result;
}

format::GgufKeys gguf_keys(const Model& model, std::uint32_t file_type) {
  const Architecture& a = model.architecture();
  const std::string where = model.path().string();
  check_gguf_parts(a, where);
  format::GgufKeys keys;
  keys.add("general.architecture", gguf_architecture(a));
  keys.add("general.type", "model");
  std::optional<format::GgufFile> source;
  if (model.from_gguf()) source.emplace(format::GgufFile::open(model.path()));
  const std::filesystem::path named = std::filesystem::absolute(model.path()).lexically_normal();
  const std::string stem = (named.has_filename() ? named : named.parent_path()).filename().string();
  keys.add("general.name", source && source->has("general.name") ? source->text("general.name") : stem);
  keys.add("general.file_type", file_type);
  keys.add("general.quantization_version", std::uint32_t{2});
  add_architecture(keys, a, where);
  if (source)
    copy_tokenizer(keys, *source);
  else
    add_vocabulary(keys, tokenizer_files(model), a.vocab, where);
  return keys;
}

}  // namespace strata::model
