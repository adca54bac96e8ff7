// The rows of families whose blocks have Mamba-1 or Mamba-2, with the names and experts that these alone have.
// A row and a tiny model in tests/golden/models make a family.
#include "model/mamba_families.h"

#include <array>

#include "model/granite_mixtures.h"
#include "model/mamba_keys.h"

namespace strata::model {
namespace {

/// Granite 4's.
constexpr MambaKeys kGraniteMamba{.heads = "mamba_n_heads",
                                  .head_dim = "mamba_d_head",
                                  .state = "mamba_d_state",
                                  .groups = "mamba_n_groups",
                                  .kernel = "mamba_d_conv",
                                  .bias = "mamba_proj_bias",
                                  .convolution_bias = "mamba_conv_bias"};

constexpr MambaKeys kNemotronMamba{.heads = "mamba_num_heads",
                                   .head_dim = "mamba_head_dim",
                                   .state = "ssm_state_size",
                                   .groups = "n_groups",
                                   .kernel = "conv_kernel",
                                   .bias = "use_bias",
                                   .convolution_bias = "use_conv_bias",
                                   .activation = "mamba_hidden_act",
                                   .least_step = "time_step_min",
                                   .parts = "layers_block_type",
                                   .pattern = "hybrid_override_pattern",
                                   .usual_parts = "ME*-",
                                   .one_part = true};

/// Of models whose blocks are one part each, such as Nemotron-H.
constexpr TensorNames kOneMixer{.embedding = "embeddings",
                                .attention = "mixer",
                                .feed_forward = "mixer",
                                .mamba = "mixer",
                                .selective = "mixer",
                                .before_attention = "norm",
                                .before_feed_forward = "norm",
                                .last_norm = "norm_f"};

constexpr Mixture kGraniteMoeHybrid = [] {
  Mixture mixture = kGraniteMoeShared;
  mixture.may_be_none = true;
  return mixture;
}();

constexpr Mixture kNemotronH{.experts = {.score = Experts::Score::sigmoid,
                                         .normalize = true,
                                         .correction = true,
                                         .module = "mixer",
                                         .shared_module = "shared_experts"},
                             .count_key = "n_routed_experts",
                             .shared_size_key = "moe_shared_expert_intermediate_size",
                             .latent_key = "moe_latent_size"};

constexpr MambaKeys kBambaMamba = [] {
  MambaKeys keys = kGraniteMamba;
  keys.attention_list = "attn_layer_indices";
  return keys;
}();
constexpr MambaKeys kMamba2{.heads = "num_heads",
                            .head_dim = "head_dim",
                            .state = "state_size",
                            .groups = "n_groups",
                            .kernel = "conv_kernel",
                            .bias = "use_bias",
                            .convolution_bias = "use_conv_bias",
                            .one_part = true};

constexpr auto kMambaFamilies = std::to_array<Family>({
    {.model_type = "granitemoehybrid",
     .class_name = "GraniteMoeHybridForCausalLM",
     .gguf = "granitehybrid",
     .mixer = Mixer::mamba,
     .mamba = &kGraniteMamba,
     .rope = RopeRule::when_rope,
     .intermediate_key = "shared_intermediate_size",
     .scales = kGraniteScales,
     .names = {.feed_forward = "shared_mlp", .down = "output_linear", .gate_up = "input_linear"},
     .mixture = &kGraniteMoeHybrid,
     .defaults = R"({"attention_multiplier": 1.0, "shared_intermediate_size": 1024, "num_local_experts": 8,
                     "num_experts_per_tok": 2, "mamba_n_heads": 128, "mamba_d_state": 256, "mamba_d_conv": 4})"},
    {.model_type = "nemotron_h",
     .class_name = "NemotronHForCausalLM",
     .gguf = "nemotron_h",
     .qkv_bias = Bias::never,
     .o_bias = Bias::never,
     .mlp_bias_key = "mlp_bias",
     .norm_epsilon_key = "layer_norm_epsilon",
     .mixer = Mixer::mamba,
     .mamba = &kNemotronMamba,
     .rope = RopeRule::never,
     .activation_key = "mlp_hidden_act",
     .gated = false,
     .default_head_dim = 128,
     .default_norm_epsilon = 1e-5,
     .names = kOneMixer,
     .mixture = &kNemotronH,
     .defaults = R"({"mlp_hidden_act": "relu2", "num_key_value_heads": 8, "intermediate_size": 21504,
                     "n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 7688,
                     "moe_shared_expert_intermediate_size": 7688, "mamba_num_heads": 128, "mamba_head_dim": 64,
                     "ssm_state_size": 128, "n_groups": 8, "conv_kernel": 4})"},
    {.model_type = "bamba",
     .class_name = "BambaForCausalLM",
     .gguf = "granitehybrid",
     .mlp_bias_key = "mlp_bias",
     .mixer = Mixer::mamba,
     .mamba = &kBambaMamba,
     .default_norm_epsilon = 1e-5,
     .default_rotary_share = 0.5,
     .names = {.feed_forward = "feed_forward",
               .before_feed_forward = "pre_ff_layernorm",
               .last_norm = "final_layernorm"},
     .defaults = R"({"num_key_value_heads": 8, "mamba_n_heads": 128, "mamba_d_state": 256, "mamba_d_conv": 4})"},
    // Nothing attends or feeds forward in Mamba-2 itself, but sizes of both must be there: 1 takes nothing.
    {.model_type = "mamba2",
     .class_name = "Mamba2ForCausalLM",
     .gguf = "mamba2",
     .norm_epsilon_key = "layer_norm_epsilon",
     .mixer = Mixer::mamba,
     .mamba = &kMamba2,
     .rope = RopeRule::never,
     .default_norm_epsilon = 1e-5,
     .names = kOneMixer,
     .defaults = R"({"num_attention_heads": 1, "intermediate_size": 1, "num_heads": 128, "head_dim": 64,
                     "state_size": 128, "n_groups": 8, "conv_kernel": 4})"},
    {.model_type = "mamba",
     .class_name = "MambaForCausalLM",
     .gguf = "mamba",
     .norm_epsilon_key = "layer_norm_epsilon",
     .mixer = Mixer::selective,
     .rope = RopeRule::never,
     .intermediate_key = "feed_forward_size",  // in no file: intermediate_size is that of the mixer
     .default_norm_epsilon = 1e-5,
     .default_tied = true,
     .names = kOneMixer},
    {.model_type = "falcon_mamba",
     .class_name = "FalconMambaForCausalLM",
     .gguf = "mamba",
     .norm_epsilon_key = "layer_norm_epsilon",
     .mixer = Mixer::selective,
     .selective_norm_key = "mixer_rms_eps",
     .rope = RopeRule::never,
     .intermediate_key = "feed_forward_size",  // in no file: intermediate_size is that of the mixer
     .default_norm_epsilon = 1e-5,
     .default_tied = true,
     .names = kOneMixer},
});

}  // namespace

std::span<const Family> mamba_families() { return kMambaFamilies; }

}  // namespace strata::model
