// Keys of the architecture, from the parsed configuration.
// Keys of the tokenizer are made in vocabulary.cpp.
#include "model/gguf/export.h"

#include <algorithm>
#include <functional>

#include "model/gguf/check.h"
#include "model/gguf/config.h"
#include "model/gguf/experts.h"
#include "model/gguf/families.h"
#include "model/gguf/keys.h"
#include "model/gguf/mamba.h"
#include "model/gguf/mixers.h"
#include "model/gguf/rope.h"
#include "model/model_name.h"

namespace strata::model {
namespace {

/// The length that llama.cpp's converter writes for models whose states hold a text of any length.
constexpr std::size_t kNoEnd = std::size_t{1} << 20;

/// The smallest window where blocks have one: llama.cpp has no sliding window for these architectures, which matters
/// only for texts longer than the window.
std::size_t context_length(const Architecture& a, const GgufFamily& row) {
  if (!row.attends) return kNoEnd;
  std::size_t length = a.max_position;
  if (row.window_pattern != 0) return length;
  for (const BlockAttention& block : a.attention)
    if (block.window != 0) length = std::min(length, block.window);
  return length;
}

/// One number, or one for every block where they differ.
void add_dense_sizes(format::GgufKeys& keys, const Architecture& a, const std::string& key) {
  std::vector<std::int32_t> sizes;
  for (std::size_t b = 0; b < a.blocks; ++b) sizes.push_back(static_cast<std::int32_t>(a.dense_size(b)));
  if (std::ranges::adjacent_find(sizes, std::not_equal_to()) != sizes.end())
    keys.add(key, sizes);
  else
    keys.add(key, static_cast<std::uint32_t>(a.intermediate));
}

void copy_tokenizer(format::GgufKeys& keys, const format::GgufFile& gguf) {
  for (const auto& [key, value] : gguf.metadata())
    if (key.starts_with("tokenizer.")) keys.add_widened(key, value);
}

}  // namespace

std::size_t interleaved_heads(const Architecture& a, std::string_view hf_name) {
  if (!gguf_family_of(a).interleaved) return 0;
  if (hf_name.find(".q_proj.") != std::string_view::npos) return a.heads;
  return hf_name.find(".k_proj.") != std::string_view::npos ? a.kv_heads : 0;
}

void add_architecture_keys(format::GgufKeys& keys, const Architecture& a, const std::string& where) {
  const GgufFamily row = gguf_family_of(a);
  const std::string arch(row.name);
  const auto size = [&](const char* key, std::size_t value) {
    keys.add(arch + key, static_cast<std::uint32_t>(value));
  };
  size(".block_count", a.blocks);
  size(".context_length", context_length(a, row));
  size(".embedding_length", a.hidden);
  if (!row.attends)
    size(gguf_key::kWidth, 0);
  else if (std::ranges::any_of(a.layout, [](const BlockLinears& block) { return !block.feeds; }))
    keys.add(arch + gguf_key::kWidth, feed_forward_lengths(a));
  else if (row.experts.in_length && a.experts.count != 0)
    size(gguf_key::kWidth, a.experts.intermediate);
  else
    add_dense_sizes(keys, a, arch + gguf_key::kWidth);
  add_mixer_keys(keys, row, a);
  size(".vocab_size", a.vocab);
  add_expert_keys(keys, row, a);
  keys.add(arch + norm_epsilon_key(a.norm_kind), a.norm_epsilon);
  if (row.both_epsilons) keys.add(arch + norm_epsilon_key(NormKind::layer), a.norm_epsilon);
  add_rope_keys(keys, row, a, where);
  add_part_keys(keys, row, a);
}

format::GgufKeys gguf_keys(const Model& model, std::uint32_t file_type) {
  const Architecture& a = model.architecture();
  const std::string where = model.path().string();
  check_gguf_parts(a, where);
  format::GgufKeys keys;
  keys.add("general.architecture", gguf_family_of(a).name);
  keys.add("general.type", "model");
  std::optional<format::GgufFile> source;
  if (model.from_gguf()) source.emplace(format::GgufFile::open(model.path(), format::Required::header));
  const std::string name = model_name(model.path());  // llama.cpp's converter leaves out whose it is
  keys.add("general.name", source && source->has("general.name") ? source->text("general.name")
                                                                 : name.substr(name.find_last_of('/') + 1));
  keys.add("general.file_type", file_type);
  keys.add("general.quantization_version", std::uint32_t{2});
  add_architecture_keys(keys, a, where);
  add_indexer_keys(keys, gguf_family_of(a), model);
  if (source)
    copy_tokenizer(keys, *source);
  else
    add_vocabulary(keys, tokenizer_files(model), a.vocab, where);
  return keys;
}

}  // namespace strata::model
