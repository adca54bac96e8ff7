// The quantization_config of a compressed-tensors checkpoint, both ways: codecs -> JSON and JSON -> codecs.
// Rules and their sources: docs/formats/compressed-tensors.md.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/codec.h"
#include "core/json.h"

namespace strata::format {

/// A linear of the model ("model.layers.0.self_attn.q_proj") and the codec planned for it (keep = bf16).
struct ModuleCodec {
  std::string module;
  const codec::Codec* codec;
};

/// Whether activations are quantized too where a stock kernel wants it (fp8: dynamic per token; int8: W8A8).
enum class Activations { none, dynamic };

/// config.json's "quantization_config": one config group a codec, exact module names as targets, kept modules and
/// `always_ignored` (such as "lm_head") in "ignore". Empty object when nothing is quantized.
json quantization_config(std::span<const ModuleCodec> modules, std::span<const std::string> always_ignored,
                         Activations activations);

/// What a checkpoint says of its modules.
class QuantizationScheme {
 public:
  /// Throws Error naming `where` for methods, formats or schemes that no codec here can read.
  static QuantizationScheme parse(const json& quantization_config, const std::string& where);
  /// The codec of a module: exact targets first, then "re:" targets, then class names ("Linear"); nullptr when the
  /// module is ignored or no target matches.
  const codec::Codec* codec_of(const std::string& module) const;

 private:
  struct Target {
    std::string text;
    const codec::Codec* codec;
  };
  std::vector<Target> targets_;
  std::vector<std::string> ignored_;
};

/// Gathers the stored tensors of a module into a Stored, by the codec's layout; `find(name)` gives tensors by full
/// name. Throws Error naming the module for a missing tensor, another dtype or another shape.
struct TensorView;
codec::Stored bind_stored(const codec::Codec& codec, const std::string& module, std::uint64_t rows, std::uint64_t cols,
                          const std::function<const TensorView*(std::string_view)>& find, const std::string& where);

}  // namespace strata::format
