// Every tensor that a model of an architecture has, by its Hugging Face name.
// Model::open holds the files against this list, and writers write it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "model/architecture.h"

namespace strata::model {

struct ExpectedTensor {
  std::string name;
  std::vector<std::uint64_t> shape;
  DType written = DType::bf16;  ///< the type it is stored in when it is not quantized
  bool as_is = false;           ///< it is copied with the type that the source has, in place of `written`
};
/// All tensors of a dense checkpoint, in the order in which they are written.
std::vector<ExpectedTensor> expected_tensors(const Architecture& architecture);

std::string embedding_name(const Architecture& architecture);
/// The table of learned positions, (LearnedPositions::rows, hidden).
std::string positions_name(const Architecture& architecture);
/// The name of a norm within a block, or below the root; empty when there is no such norm there.
std::string_view norm_part(const Architecture& architecture, Norm norm, std::size_t block);
/// The weights of a norm that the architecture has; the first and the last one belong to no block.
std::string norm_name(const Architecture& architecture, Norm norm, std::size_t block = kNoBlock);
/// The biases of a norm that has them (Architecture::has_bias).
std::string norm_bias_name(const Architecture& architecture, Norm norm, std::size_t block = kNoBlock);
/// The logits that take part in a block's softmax without a key of their own, (heads).
std::string sinks_name(const Architecture& architecture, std::size_t block);
/// A tensor that a block's mixer has beside its linears and norms, such as "conv1d.weight", named within the mixer;
/// which there are is in the mixer's file in mixers/.
std::string kept_name(const Architecture& architecture, std::size_t block, std::string_view part);
/// The numbers of a block's Activation::xielu, of one value each.
enum class XieluTensor { alpha_p, alpha_n, beta, epsilon };
std::string xielu_name(const Architecture& architecture, std::size_t block, XieluTensor part);
/// The number that a block's output is multiplied by, (1).
std::string block_scale_name(const Architecture& architecture, std::size_t block);
/// Of a BlockEmbedding: the table (tokens, blocks * size), the projection of the embedding (blocks * size, hidden), and
/// the norm of each block's part of that (size).
std::string block_table_name(const Architecture& architecture);
std::string block_projection_name(const Architecture& architecture);
std::string block_projection_norm_name(const Architecture& architecture);
/// What the names of a block's mixture begin with: "model.layers.3.mlp.".
std::string mixture_prefix(const Architecture& architecture, std::size_t block);
/// Tensors of a mixture that are never quantized: the router's (experts, hidden), the biases for choosing (experts),
/// the gate of the shared expert (1, hidden), and with Experts::beside_dense the factors of what the router reads
/// (hidden) and of the experts' weights (experts).
std::string router_name(const Architecture& architecture, std::size_t block);
std::string router_bias_name(const Architecture& architecture, std::size_t block);
std::string correction_name(const Architecture& architecture, std::size_t block);
std::string shared_gate_name(const Architecture& architecture, std::size_t block);
std::string router_scale_name(const Architecture& architecture, std::size_t block);
std::string expert_scale_name(const Architecture& architecture, std::size_t block);

}  // namespace strata::model
