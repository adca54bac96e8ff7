// Tiny models of made-up families: whatever parts a row of the family table can ask for, with random weights in f32.
// Tests of parts that no family of the table has use them.
#pragma once
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/hash.h"
#include "core/random.h"
#include "model/model.h"
#include "support/tiny_model.h"

namespace strata::fixtures {

class MadeModel {
 public:
  /// Two blocks of hidden size 64 with 4 heads of 16; `extra` is added to config.json. The same tensors get the same
  /// weights whatever the family.
  explicit MadeModel(const model::Family& family, const json& extra = json::object()) : family_(family) {
    config_ = {{"model_type", family.model_type},
               {"hidden_size", 64},
               {"intermediate_size", 96},
               {"num_hidden_layers", 2},
               {"num_attention_heads", 4},
               {"num_key_value_heads", 2},
               {"vocab_size", 40},
               {"rope_theta", 10000.0},
               {"rms_norm_eps", 1e-5},
               {"tie_word_embeddings", false}};
    config_.update(extra);
    for (const model::ExpectedTensor& tensor : model::expected_tensors(architecture())) {
      Random random(fnv1a(std::as_bytes(std::span(tensor.name))));
      std::size_t count = 1;
      for (const std::uint64_t extent : tensor.shape) count *= extent;
      const double size = tensor.shape.size() == 1 ? 0.3 : 1.0 / std::sqrt(static_cast<double>(tensor.shape[1]));
      std::vector<float>& values = tensors_[tensor.name];
      for (std::size_t i = 0; i < count; ++i)  // norms are multiples of 1/256 near 1, so that 1 + w is exact
        values.push_back(tensor.shape.size() == 1
                             ? 1.0f + std::round(256.0f * static_cast<float>(size * random.normal())) / 256.0f
                             : static_cast<float>(size * random.normal()));
      shapes_[tensor.name] = tensor.shape;
    }
  }

  model::Architecture architecture() const { return model::parse_architecture(config_, "config.json", {&family_, 1}); }

  /// Changes every element of the tensors whose names end in `ending`.
  void change(std::string_view ending, const std::function<float(float)>& value) {
    for (auto& [name, values] : tensors_)
      if (name.ends_with(ending))
        for (float& v : values) v = value(v);
  }
  const std::vector<float>& tensor(const std::string& name) const { return tensors_.at(name); }

  /// Writes the model and opens it; it may be opened once, and this must outlive it.
  model::Model open() const {
    json header = json::object();
    std::string data;
    for (const auto& [name, values] : tensors_) {
      const std::size_t begin = data.size(), bytes = values.size() * sizeof(float);
      data.append(reinterpret_cast<const char*>(values.data()), bytes);
      header[name] = {{"dtype", "F32"}, {"shape", shapes_.at(name)}, {"data_offsets", {begin, begin + bytes}}};
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    const std::uint64_t size = text.size();
    std::string file(8, '\0');
    std::memcpy(file.data(), &size, 8);
    write_text_file(folder_.path() / "model.safetensors", file + text + data);
    write_json_file(folder_.path() / "config.json", config_);
    return model::Model::open(folder_.path(), model::Fusion::fused, {&family_, 1});
  }

 private:
  model::Family family_;
  json config_;
  std::map<std::string, std::vector<float>> tensors_;
  std::map<std::string, std::vector<std::uint64_t>> shapes_;
  TemporaryFolder folder_;
};

/// llama's row.
inline model::Family plain_family() { return {.model_type = "plain", .class_name = "Plain"}; }

/// A family with every part that llama does not have.
inline model::Family full_family() {
  return {.model_type = "full",
          .class_name = "Full",
          .qk_norm = model::QkNorm::per_head,
          .norm_offset = 1.0f,
          .window = model::WindowRule::every_block,
          .window_rope = true,
          .activation_key = "hidden_activation",
          .scales = {.embedding_by_hidden = true,
                     .query_size = "query_pre_attn_scalar",
                     .residual = "residual_multiplier",
                     .logits_divisor = "logits_scaling"},
          .names = {.after_attention = "post_attention_layernorm",
                    .before_feed_forward = "pre_feedforward_layernorm",
                    .after_feed_forward = "post_feedforward_layernorm"}};
}

inline json full_config() {
  return {{"hidden_activation", "gelu_pytorch_tanh"},
          {"sliding_window", 5},
          {"layer_types", {"full_attention", "sliding_attention"}},
          {"rope_local_base_freq", 100.0},
          {"query_pre_attn_scalar", 24},
          {"residual_multiplier", 0.75},
          {"logits_scaling", 2.0}};
}

/// A family of parallel blocks, with every part of attention, activation and head that neither llama nor full_family
/// has.
inline model::Family side_by_side_family() {
  return {.model_type = "side_by_side",
          .class_name = "SideBySide",
          .mlp_bias_key = "mlp_bias",
          .norm_kind = model::NormKind::layer,
          .parallel = true,
          .qk_l2_key = "use_qk_norm",
          .sinks = true,
          .attention_softcap_key = "attn_logit_softcapping",
          .logit_softcap_key = "final_logit_softcapping",
          .query_scale = {.beta = "beta", .length = "length", .first = 1.0},
          .chunk_key = "attention_chunk_size",
          .rope_interleaved = true,
          .clamped_swiglu = true,
          .names = {.qkv = "qkv_proj", .gate_up = "gate_up_proj", .before_feed_forward = {}}};
}

inline json side_by_side_config() {
  return {{"attention_bias", true},         {"mlp_bias", true}, {"attn_logit_softcapping", 2.0},
          {"final_logit_softcapping", 3.0}, {"beta", 0.5},      {"length", 4.0},
          {"attention_chunk_size", 6},      {"clip_qkv", 3.2},  {"swiglu_limit", 3.2}};
}

}  // namespace strata::fixtures
