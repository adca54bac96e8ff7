// Folders of MLX: "quantization" of config.json, and matrices that MLX has quantized, one by one or in a stack.
// Rules and their sources: docs/formats/mlx.md.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/codec.h"
#include "core/json.h"
#include "format/compressed_tensors.h"
#include "format/safetensors.h"

namespace strata::format {

/// config.json's "quantization": an object for every module that has codes, beside the one that most of them have. Null
/// when none has. Modules are names, and differ.
json mlx_quantization(std::span<const ModuleCodec> modules);

/// Whether config.json is that of a model that MLX has quantized: "quantization", or "quantization_config" without a
/// method, with a group size and bits.
bool is_mlx_quantization(const json& config);

/// A stack of equal matrices, or one, as mx.quantize stores them, checked: every one can be read. Bits and group size
/// follow from the shapes of the tensors, as in mlx_lm. Does not own its tensors.
class MlxMatrix {
 public:
  using Find = std::function<const TensorView*(std::string_view)>;
  /// The matrices (rows, cols) of MODULE, `planes` of them in a stack, or 0 for one that is in none. find: tensors by
  /// full name, or nullptr. Nothing when MODULE.weight is not U32 with MODULE.scales beside it. Throws Error naming
  /// `where` and the tensor for types and shapes that no quantization of MLX has.
  static std::optional<MlxMatrix> find(const std::string& module, std::uint64_t planes, std::uint64_t rows,
                                       std::uint64_t cols, const Find& find, const std::string& where);

  const codec::Codec& codec() const { return *codec_; }
  /// Whether the tensors are those of codec(): scales and biases of MLX may also be F16 or F32.
  bool is_native() const { return native_; }
  /// The tensors of one matrix, where is_native().
  codec::Stored plane(std::uint64_t plane) const;
  /// The weights of one matrix, row by row.
  std::vector<float> values(std::uint64_t plane) const;
  /// The bytes of one matrix in each of its tensors.
  std::vector<std::span<const std::byte>> spans(std::uint64_t plane) const;
  std::uint64_t plane_bytes() const;
  /// The tensors, of which biases come last and may be missing.
  const std::vector<const TensorView*>& parts() const { return parts_; }

 private:
  MlxMatrix() = default;
  std::vector<const TensorView*> parts_;
  const codec::Codec* codec_ = nullptr;
  std::uint64_t planes_ = 1, rows_ = 0, cols_ = 0;
  bool native_ = false;
};

}  // namespace strata::format
