// Where the matrices of a Hugging Face folder lie whose tensors are not simply named after them: experts in stacks, and
// weights that other programs have quantized, MLX among them. Everything above asks by one name a matrix.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "format/encoded_matrix.h"
#include "format/mlx.h"
#include "format/safetensors.h"
#include "model/architecture.h"
#include "model/stacks.h"

namespace strata::model {

/// Some rows of one plane of a stack, or some columns where the stack holds (in, out).
struct Place {
  format::EncodedMatrix stack = {};
  std::uint64_t plane = 0;
  std::uint64_t first = 0, step = 1;  ///< row r lies at first + r * step
  bool transposed = false;
  std::uint64_t rows = 0, cols = 0;
  bool is_vector = false;                          ///< a bias: one column
  std::shared_ptr<const format::MlxMatrix> mlx{};  ///< what holds the matrix in place of `stack`, as plane `plane`

  /// "BF16", "F8_E4M3 in blocks of 128 x 128", or the codec of MLX.
  std::string type() const;
  std::vector<std::uint64_t> shape() const;
  /// Bytes on disk, its share of scales included.
  std::uint64_t bytes() const;
  /// The bytes of the codes that the rows lie in, and perhaps others, and those of their scales.
  std::vector<std::span<const std::byte>> spans() const;
};

struct Places {
  std::map<std::string, Place, std::less<>> by_name;  ///< "model.layers.0.mlp.experts.3.up_proj.weight"
  std::map<std::string, const format::TensorView*, std::less<>> aliases;  ///< tensors with another name in the file
  std::map<std::size_t, StackNames> stacks;  ///< of blocks that have such; as the dense model's would be
  std::set<std::string, std::less<>> taken;  ///< names in the file of all tensors that the two maps stand for
};

/// Throws Error naming `where` for stacks and scales whose shapes do not fit the architecture. has_codec: whether a
/// module's tensors are those of a codec, which are left alone.
Places find_places(const format::SafetensorsSet& files, const Architecture& architecture,
                   const std::function<bool(const std::string& module)>& has_codec, format::EncodedMatrix::Block block,
                   const std::string& where);

}  // namespace strata::model
