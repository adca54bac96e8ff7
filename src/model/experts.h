// A mixture of experts as data: how many there are, how tokens are routed to them, and how files store them.
// It is a part of Architecture; a family's row gives the names and rules, config.json the sizes.
#pragma once
#include <cstddef>
#include <string_view>

namespace strata::model {

/// A mixture of experts in place of a block's feed-forward part, and how tokens are routed to them. The router's scores
/// choose `used` experts for each token, whose weighted outputs are added. transformers: modeling_mixtral.py,
/// modeling_qwen2_moe.py, modeling_qwen3_moe.py, modeling_olmoe.py, modeling_glm4_moe.py, modeling_gpt_oss.py,
/// modeling_llama4.py, modeling_ernie4_5_moe.py, modeling_minimax_m2.py, modeling_gemma4.py, modeling_phimoe.py.
struct Experts {
  /// sparse: one expert after another is chosen, and weighed by a softmax of the router's outputs over those that are
  /// left and near it (arXiv 2409.12136).
  enum class Score { softmax, sigmoid, sparse };
  /// Where the family's own files hold all experts of a block in stacks, as transformers does.
  enum class Stacks {
    never,          ///< they are one tensor each
    without_codes,  ///< transformers takes the stacks apart in a model in which any linear has codes
    always,
  };
  std::size_t count = 0;  ///< 0: all blocks are dense
  std::size_t used = 0, intermediate = 0;
  std::size_t shared_intermediate = 0;  ///< the shared expert's size; 0: there is no shared expert
  bool shared_gate = false;             ///< the shared expert's output is scaled by a sigmoid of its own
  /// What routed experts read and put out, where a matrix makes it of the block's rows (Role::to_latent) and another
  /// one rows of their sum (Role::from_latent), both with a bias where dense parts have one; 0: the hidden size.
  std::size_t latent = 0;
  Score score = Score::softmax;
  float nearness = 0.0f;  ///< with sparse scores: how far an output may be below the best, as a share of the larger one
  bool normalize = false;                   ///< the chosen weights are divided by their sum
  float least_sum = 0.0f;                   ///< the least that this sum is taken for
  float added_to_sum = 0.0f;                ///< is added to it; with sigmoid scores at least 1e-20
  bool correction = false;                  ///< a bias per expert is added for choosing, not for weighing
  std::size_t groups = 1, groups_used = 1;  ///< only experts of the best groups can be chosen
  std::size_t group_best = 2;               ///< a group is as good as this many of its best experts together
  float scale = 1.0f;                       ///< multiplies the weights after everything else
  float shared_scale = 1.0f;                ///< multiplies what the shared expert puts out
  bool weighs_input = false;                ///< weights multiply what an expert reads, not what it puts out
  bool bias = false;                        ///< gate, up and down of every expert have a bias
  bool router_bias = false;
  bool exact_router = false;        ///< files hold the router in float32, and runtimes keep it so
  std::string_view module = "mlp";  ///< "model.layers.N." + this holds router and experts; empty: the block itself
  std::string_view router = "gate", correction_name = "gate.e_score_correction_bias";
  bool correction_is_row = false;  ///< files hold the correction as (1, experts)
  std::string_view gate = "gate_proj", up = "up_proj", down = "down_proj";          ///< names within each expert
  std::string_view to_latent = "fc1_latent_proj", from_latent = "fc2_latent_proj";  ///< names within `module`
  std::string_view shared_module = "shared_expert";
  bool shared_beside = false;  ///< shared_module stands in the block itself, not within `module`
  Stacks stacks = Stacks::never;
  std::string_view gate_up_stack = "experts.gate_up_proj", down_stack = "experts.down_proj";  ///< names of own stacks
  bool stacks_transposed = true;  ///< the family's own stacks hold (experts, in, out), others (experts, out, in)
  bool interleaved = false;       ///< in stacks gate and up take turns, row by row
  /// The shared expert is the dense part of the block: it and the routed experts have norms of their own before and
  /// after them. The router reads the residual stream, divided by its root mean square and times router_scale /
  /// sqrt(hidden); expert_scale multiplies the weights of each expert. transformers: modeling_gemma4.py.
  bool beside_dense = false;
  std::string_view router_scale = "router.scale", expert_scale = "router.per_expert_scale";
};

}  // namespace strata::model
