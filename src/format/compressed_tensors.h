// The quantization_config of a compressed-tensors checkpoint, both ways: codecs -> JSON and JSON -> codecs.
// Rules and their sources: docs/formats/compressed-tensors.md.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/activations.h"
#include "codec/codec.h"
#include "core/json.h"
#include "format/safetensors.h"
#include "format/target_pattern.h"

namespace strata::format {

/// A linear of the model ("model.layers.0.self_attn.q_proj"), or a pattern of several ("re:..."), and the codec planned
/// for it (keep = bf16).
struct ModuleCodec {
  std::string module;
  const codec::Codec* codec;
};

/// Whether fp8_channel is declared with activations that the runtime rounds by token; other codecs say it themselves.
enum class Activations { none, dynamic };

/// How compressed-tensors names a codec's weights. Codecs of the same scheme differ in their activations.
struct Scheme {
  std::string format;        ///< "pack-quantized", "float-quantized", ...
  unsigned num_bits;         ///< of one code
  std::string type;          ///< "int" or "float"
  std::string strategy;      ///< "channel", "group", "tensor_group", "block" ... ("tensor": no codec here has it)
  std::uint64_t group_size;  ///< 0 unless the strategy has groups
  bool symmetric;
  bool operator==(const Scheme&) const = default;
  std::string text() const;  ///< "pack-quantized int4 group 64 symmetric", for messages
};

/// The tensor of a module that holds the fixed scale of its inputs (codec::has_fixed_scale): "input_scale", what a code
/// of 1 stands for, or "input_global_scale", the divisor of NVFP4's scales.
std::string_view input_scale_name(codec::ActivationRounding::Kind kind);

/// How a checkpoint declares that the inputs of the codec's linears are rounded.
codec::ActivationRounding::Kind declared_activations_of(const codec::Codec& codec, Activations activations);

/// True when a compressed-tensors checkpoint can hold the codec; false for keep and for those of GGUF.
bool has_scheme(const codec::Codec& codec);
/// The scheme of a codec that has one.
Scheme scheme_of(const codec::Codec& codec);

/// config.json's "quantization_config": one config group a codec, exact module names as targets, kept modules and
/// `always_ignored` (such as "lm_head") in "ignore". Empty object when nothing is quantized. Modules must differ.
json quantization_config(std::span<const ModuleCodec> modules, std::span<const std::string> always_ignored,
                         Activations activations);

/// Classes of modules, which are targets too.
inline constexpr std::string_view kLinearClass = "Linear", kEmbeddingClass = "Embedding";

/// What "kv_cache_scheme" of that object is for keys and values in FP8 with a scale for each block.
json fp8_cache_scheme();

/// A checkpoint's quantization_config: the codec of every module.
class QuantizationScheme {
 public:
  /// Throws Error naming `where` for methods, formats or schemes that no codec here can read.
  static QuantizationScheme parse(const json& quantization_config, const std::string& where);
  /// The codec of a module: exact targets first, then "re:" targets, then its class ("Linear"); nullptr when the
  /// module is ignored, no target matches, or it is FP8 with scales of blocks or tensors (EncodedMatrix reads it). Of
  /// codecs that differ in their activations alone it is the one without.
  /// Throws Error when patterns of different codecs match.
  const codec::Codec* codec_of(const std::string& module, std::string_view class_name = kLinearClass) const;
  /// How a module's inputs are declared to be rounded ("input_activations"), by the same rules. Declarations never stop
  /// the reading of weights: what is not known here is `unknown`.
  codec::ActivationRounding::Kind activations_of(const std::string& module) const;

 private:
  /// What a group says of the modules that it is for.
  struct Group {
    const codec::Codec* codec = nullptr;
    codec::ActivationRounding::Kind activations = codec::ActivationRounding::Kind::none;
  };
  struct PatternTarget {
    TargetPattern pattern;
    Group group;
  };
  bool ignores(const std::string& module, std::string_view class_name) const;
  Group group_of(const std::string& module, std::string_view class_name) const;

  std::string where_;
  std::map<std::string, Group, std::less<>> exact_;  ///< module and class names; of each target without "re:"
  std::vector<PatternTarget> patterns_;
  std::set<std::string, std::less<>> ignored_;
  std::vector<TargetPattern> ignored_patterns_;
};

/// Gathers the stored tensors of a (rows, cols) module into a Stored, by the codec's layout; `find(name)` gives
/// tensors by full name, or nullptr. Extents of 1 need not agree ([O] for [O, 1]); scales stored wider than the
/// layout's dtype are narrowed when that is exact. Throws Error naming `where` and the tensor for one that is missing
/// or of another dtype or shape, for a shape that the codec cannot hold, and for columns stored in activation order.
codec::Stored bind_stored(const codec::Codec& codec, const std::string& module, std::uint64_t rows, std::uint64_t cols,
                          const std::function<const TensorView*(std::string_view)>& find, const std::string& where);

}  // namespace strata::format
