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
/// The weights of a norm that the architecture has; the last one belongs to no block.
std::string norm_name(const Architecture& architecture, Norm norm, std::size_t block = kNoBlock);
/// The biases of a norm that has them (Architecture::has_bias).
std::string norm_bias_name(const Architecture& architecture, Norm norm, std::size_t block = kNoBlock);
/// The logits that take part in a block's softmax without a key of their own, (heads).
std::string sinks_name(const Architecture& architecture, std::size_t block);
/// A tensor of a gated delta net: "conv1d.weight" (channels, 1, kernel), "A_log", "dt_bias" (value_heads),
/// "norm.weight" (value_size).
std::string delta_name(const Architecture& architecture, std::size_t block, std::string_view part);
/// A tensor of a short convolution: "weight" (hidden, 1, kernel) or "bias" (hidden).
std::string convolution_name(const Architecture& architecture, std::size_t block, std::string_view part);
/// A tensor of Mamba-2: "conv1d.weight" (channels, 1, kernel), "conv1d.bias" (channels), "A_log", "D", "dt_bias"
/// (heads), "norm.weight" (inner).
std::string mamba_name(const Architecture& architecture, std::size_t block, std::string_view part);
/// Tensors of a mixture that are never quantized: the router's (experts, hidden), the biases for choosing (experts),
/// and the gate of the shared expert (1, hidden).
std::string router_name(const Architecture& architecture, std::size_t block);
std::string router_bias_name(const Architecture& architecture, std::size_t block);
std::string correction_name(const Architecture& architecture, std::size_t block);
std::string shared_gate_name(const Architecture& architecture, std::size_t block);

}  // namespace strata::model
