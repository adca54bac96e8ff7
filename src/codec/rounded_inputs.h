// Which codecs' linears read rounded inputs where a model runs: that is the business of a runtime, not of a layout,
// since a checkpoint declares it for the codec and the kernels do it or not.
#pragma once
#include <map>
#include <string>

#include "codec/codec.h"

namespace strata::codec {

/// Codecs that are not in it read their inputs as they are.
struct RoundedInputs {
  std::map<const Codec*, ActivationRounding::Kind> kinds;

  ActivationRounding::Kind of(const Codec& codec) const {
    const auto found = kinds.find(&codec);
    return found == kinds.end() ? ActivationRounding::Kind::none : found->second;
  }
  /// "nvfp4_a4 reading nvfp4", or the codec's name alone: what journals know a measurement by.
  std::string text(const Codec& codec) const {
    const ActivationRounding::Kind kind = of(codec);
    return kind == ActivationRounding::Kind::none ? codec.name : codec.name + " reading " + std::string(name_of(kind));
  }
  /// The codecs' names, each with that of its kind: {"nvfp4_a4": "nvfp4"}.
  std::map<std::string, std::string> names() const {
    std::map<std::string, std::string> result;
    for (const auto& [codec, kind] : kinds) result[codec->name] = name_of(kind);
    return result;
  }
};

}  // namespace strata::codec
