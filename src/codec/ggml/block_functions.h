// What the codecs of GGUF share whose scales are fitted block by block. A type derives its functions from GgmlBlocks,
// or from GgmlVectors where weights are rounded together.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "codec/ggml/ggml.h"

namespace strata::codec {

/// Type has a kLayout, value, round_row, and fit_block(variant, weights, importance, fit, groups) for one block.
template <class Type>
struct GgmlBlocks : GgmlStorage<Type> {
  using Storage = GgmlStorage<Type>;

  static void fit_super(const Codec&, std::span<const float> weights, std::span<const float> importance, ScaleFit fit,
                        std::span<GroupParams> groups) {
    const Importance h(importance, weights.size(), fit);
    Type::fit_block(kVariantPortable, weights.data(), h.data(), fit, groups.data());
  }

  static void fit_row(const Variant& variant, const Codec&, const float* weights, const float* importance,
                      std::size_t cols, ScaleFit fit, float, GroupParams* groups) {
    constexpr const GgmlLayout& kLayout = Type::kLayout;
    for (std::size_t c = 0; c < cols; c += kLayout.block_weights, groups += kLayout.groups())
      Type::fit_block(variant, weights + c, importance_from(importance, c), fit, groups);
  }

  static void values_row(const Variant&, const Codec& codec, const std::uint8_t* codes, std::size_t cols,
                         const GroupParams* groups, float* out) {
    for (std::size_t c = 0; c < cols; ++c) out[c] = Type::value(codec, codes[c], groups[c / Type::kLayout.group_size]);
  }

  static Codec codec() {
    static constexpr RowFunctions kRows = {
        fit_row,         Type::round_row, values_row,        Storage::store_codes, Storage::store_groups,
        Storage::decode, Storage::dot,    Storage::dot_bytes};
    Codec result = Storage::codec();
    result.value = Type::value;
    result.rows = &kRows;
    return result;
  }
};

/// Type has a kVector too: how many weights are rounded together.
template <class Type>
struct GgmlVectors : GgmlBlocks<Type> {
  static void round_vector(const Codec& codec, const float* weights, const float* importance, const GroupParams& group,
                           std::uint8_t* codes) {
    Type::round_row(kVariantPortable, codec, weights, importance, Type::kVector, &group, codes);
  }

  static Codec codec() {
    Codec result = GgmlBlocks<Type>::codec();
    result.super_size = Type::kLayout.block_weights;
    result.fit_super = GgmlBlocks<Type>::fit_super;
    result.vector_size = Type::kVector;
    result.round_vector = round_vector;
    return result;
  }
};

/// Appends the codecs of Functions<0>, Functions<1>, ...
template <template <std::size_t> class Functions, std::size_t... kIndex>
void append_types(std::vector<Codec>& table, std::index_sequence<kIndex...>) {
  (table.push_back(Functions<kIndex>::codec()), ...);
}

/// The parameters of a block's groups as `block` finds them: by its search under usable importances, or plainly.
/// importance: as weights; not read for ScaleFit::minmax.
template <class Block>
void fit_groups(Block& block, const GgmlLayout& layout, const float* importance, ScaleFit fit, GroupParams* groups) {
  const auto choose = [&] {
    if (fit != ScaleFit::search) return block.plain();
    float usable[256];
    for (std::size_t i = 0; i < layout.block_weights; i += layout.group_size)
      usable_importance(importance + i, layout.group_size, usable + i);
    return block.search(usable);
  };
  const auto choice = choose();
  for (std::size_t g = 0; g < layout.groups(); ++g) groups[g] = block.params(choice, g);
}

}  // namespace strata::codec
