// Pieces are stretches of the rows of every head, so that a piece that is not transposed keeps a codec's blocks.
// A transposed one does not: its rows are other weights than the matrix's.
#include "model/gguf/splits.h"

#include <algorithm>

#include "model/gguf/families.h"

namespace strata::model {

std::size_t GgufPiece::rows() const {
  std::size_t count = 0;
  for (const Stretch& stretch : stretches) count += heads * stretch.count;
  return count;
}

std::size_t GgufPiece::source(std::size_t row) const {
  for (const Stretch& stretch : stretches) {
    const std::size_t count = heads * stretch.count;
    if (row < count) return row / stretch.count * head_rows + stretch.first + row % stretch.count;
    row -= count;
  }
  STRATA_CHECK(false, "{} has no such row", name);
}

std::vector<std::uint64_t> GgufPiece::shape() const {
  if (transposed) return {heads, cols, rows() / heads};
  if (by_head) return {heads, rows() / heads, cols};
  return {rows(), cols};
}

namespace {

/// A matrix whose first half of the rows is one tensor, and the second another.
GgufSplit halves(const Linear& linear, const std::string& first, const std::string& second) {
  const std::size_t half = linear.rows / 2;
  GgufSplit split{linear.module + ".weight", {}};
  for (const auto& [name, begin] : {std::pair{first, std::size_t{0}}, {second, half}})
    split.pieces.push_back({.name = fmt::format("blk.{}.{}.weight", linear.block, name),
                            .heads = 1,
                            .head_rows = linear.rows,
                            .cols = linear.cols,
                            .stretches = {{begin, half}}});
  return split;
}

}  // namespace

std::vector<GgufSplit> gguf_splits(const Architecture& a, std::size_t b) {
  std::vector<GgufSplit> splits;
  const auto split = [&](Role role, std::size_t heads, const auto& add) {
    const Linear& linear = a.linear(b, role);
    GgufSplit& of = splits.emplace_back(GgufSplit{linear.module + ".weight", {}});
    add([&](const char* name, std::vector<GgufPiece::Stretch> stretches) -> GgufPiece& {
      return of.pieces.emplace_back(GgufPiece{.name = fmt::format("blk.{}.{}.weight", b, name),
                                              .heads = heads,
                                              .head_rows = linear.rows / heads,
                                              .cols = linear.cols,
                                              .stretches = std::move(stretches)});
    });
  };
  const DeltaNet& d = a.delta;
  if (a.attention[b].mixer == Mixer::delta && d.by_key_heads)
    split(Role::in_qkvz, d.key_heads, [&](const auto& piece) {
      const std::size_t k = d.key_size, v = d.values() / d.key_heads;
      piece("attn_qkv", {{0, k}, {k, k}, {2 * k, v}});
      piece("attn_gate", {{2 * k + v, v}});
    });
  if (gguf_family_of(a).gate_up_apart)
    for (const Linear& linear : a.block_linears(b))
      if (linear.role == Role::gate_up) {
        const char* of = linear.expert == kSharedExpert ? "_shexp" : "";
        splits.push_back(halves(linear, fmt::format("ffn_gate{}", of), fmt::format("ffn_up{}", of)));
      }
  const Latent& l = a.latent;
  if (a.attention[b].mixer == Mixer::latent)
    split(Role::kv_b, a.heads, [&](const auto& piece) {
      piece("attn_k_b", {{0, l.plain}}).transposed = true;
      piece("attn_v_b", {{l.plain, l.value}}).by_head = true;
    });
  return splits;
}

std::vector<float> transposed(const GgufPiece& piece, const std::vector<float>& values, bool back) {
  if (!piece.transposed) return values;
  const std::size_t rows = piece.rows() / piece.heads, cols = piece.cols;
  std::vector<float> result(values.size());
  for (std::size_t h = 0; h < piece.heads; ++h)
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < cols; ++c) {
        const std::size_t of_matrix = (h * rows + r) * cols + c, of_file = (h * cols + c) * rows + r;
        if (back)
          result[of_matrix] = values[of_file];
        else
          result[of_file] = values[of_matrix];
      }
  return result;
}

}  // namespace strata::model
