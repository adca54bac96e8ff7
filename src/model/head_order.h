// Heads of values of gated delta nets in another order than their files have: llama.cpp puts the heads that read one
// head of keys key_heads apart, where Hugging Face's files have them side by side (DeltaNet::tiled).
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "model/tensor_source.h"

namespace strata::model {

/// How the heads of a tensor change places. The source has `outer` runs of `inner` heads; wanted are `inner` runs of
/// `outer` heads.
struct HeadOrder {
  std::size_t outer = 1, inner = 1;
  std::size_t size = 1;   ///< rows, columns or numbers of a head
  std::size_t first = 0;  ///< what stands before the heads and keeps its place
  bool columns = false;   ///< columns of a matrix, not rows of it or numbers of a vector
  /// Where the source has what is wanted at a place.
  std::size_t source(std::size_t place) const {
    if (place < first) return place;
    const std::size_t head = (place - first) / size, within = (place - first) % size;
    return first + (head % outer * inner + head / outer) * size + within;
  }
};
/// By the names of tensors.
using HeadOrders = std::map<std::string, HeadOrder, std::less<>>;

/// How the tensors of an architecture's gated delta nets become tiled, or those of tiled ones side by side; nothing
/// where each head of keys has one of values.
HeadOrders value_head_orders(const Architecture& architecture, bool tiled);

/// The source with these heads in the other order. Matrices whose heads change places are copied when they are asked
/// for; codes move with the weights, but for columns whose heads cut blocks of a codec, which are decoded.
std::shared_ptr<const TensorSource> reordered(std::shared_ptr<const TensorSource> source, HeadOrders orders);

}  // namespace strata::model
