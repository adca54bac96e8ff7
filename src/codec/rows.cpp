// Rows of weights through a codec, by the variant for this CPU.
// One row at a time stays in the first-level cache from widening to packing.
#include <algorithm>

#include "codec/chosen_rows.h"
#include "codec/family.h"
#include "core/error.h"
#include "core/numbers.h"

namespace strata::codec {
namespace {

void check_importance(std::span<const float> importance, std::size_t cols) {
  STRATA_CHECK(importance.empty() || importance.size() == cols, "{} importances, {} weights", importance.size(), cols);
}

}  // namespace

void widen_row(const MatrixView& weights, std::size_t row, std::span<float> out) {
  STRATA_CHECK(out.size() == weights.cols, "{} values for {} columns", out.size(), weights.cols);
  if (weights.dtype == DType::bf16)
    selected_variant().widen_bf16(reinterpret_cast<const unsigned char*>(weights.row(row)), weights.cols, out.data());
  else
    read_row(weights, row, 0, weights.cols, out.data());
}

void fit_row(const Codec& codec, std::span<const float> weights, std::span<const float> importance, ScaleFit fit,
             float tensor_scale, std::span<GroupParams> groups) {
  STRATA_CHECK(groups.size() == codec.groups_per_row(weights.size()), "{} groups, {} weights", groups.size(),
               weights.size());
  check_importance(importance, weights.size());
  if (!codec.has_codes()) return;
  const Importance h(importance, weights.size(), fit);
  codec.rows->fit(selected_variant(), codec, weights.data(), h.data(), weights.size(), fit, tensor_scale,
                  groups.data());
}

void round_vector(const Codec& codec, const float* weights, const float* importance, const GroupParams& group,
                  std::uint8_t* codes) {
  if (codec.vector_size == 1)
    *codes = codec.round(codec, *weights, group);
  else
    codec.rows->round(selected_variant(), codec, weights, importance, codec.vector_size, &group, codes);
}

void round_row(const Codec& codec, std::span<const float> weights, std::span<const float> importance,
               std::span<const GroupParams> groups, std::span<std::uint8_t> codes) {
  check_importance(importance, weights.size());
  STRATA_CHECK(groups.size() == codec.groups_per_row(weights.size()) && codes.size() == weights.size(),
               "{} groups, {} weights, {} codes", groups.size(), weights.size(), codes.size());
  codec.rows->round(selected_variant(), codec, weights.data(), importance.data(), weights.size(), groups.data(),
                    codes.data());
}

void values_row(const Codec& codec, std::span<const std::uint8_t> codes, std::span<const GroupParams> groups,
                std::span<float> weights) {
  STRATA_CHECK(groups.size() == codec.groups_per_row(codes.size()) && codes.size() == weights.size(),
               "{} groups, {} codes, {} weights", groups.size(), codes.size(), weights.size());
  codec.rows->values(selected_variant(), codec, codes.data(), codes.size(), groups.data(), weights.data());
}

void pack_rows(const Codec& codec, Stored& out, std::size_t row, std::size_t count, const std::uint8_t* codes,
               const GroupParams* groups, float tensor_scale) {
  const Variant& variant = selected_variant();
  for (std::size_t r = 0; r < count; ++r) codec.rows->store_codes(variant, out, row + r, codes + r * out.cols);
  codec.rows->store_groups(variant, out, row, count, groups, tensor_scale);
}

void round_trip_row(const Codec& codec, std::span<const float> weights, std::span<const float> importance,
                    std::span<const GroupParams> groups, std::span<float> decoded) {
  check_importance(importance, weights.size());
  STRATA_CHECK(groups.size() == codec.groups_per_row(weights.size()) && decoded.size() == weights.size(),
               "{} groups, {} weights, {} decoded", groups.size(), weights.size(), decoded.size());
  if (!codec.has_codes()) {
    std::ranges::transform(weights, decoded.begin(), round_bf16);
    return;
  }
  const Variant& variant = selected_variant();
  std::vector<std::uint8_t> codes(weights.size());
  codec.rows->round(variant, codec, weights.data(), importance.data(), weights.size(), groups.data(), codes.data());
  codec.rows->values(variant, codec, codes.data(), weights.size(), groups.data(), decoded.data());
}

void encode_rows(const Codec& codec, const MatrixView& weights, std::span<const float> importance, ScaleFit fit,
                 float tensor_scale, std::size_t row, std::size_t count, Stored& out) {
  STRATA_CHECK(out.codec == &codec && out.rows == weights.rows && out.cols == weights.cols, "{}: {} x {} for {} x {}",
               codec.name, out.rows, out.cols, weights.rows, weights.cols);
  STRATA_CHECK(row % 32 == 0 && row + count <= out.rows && (count % 32 == 0 || row + count == out.rows),
               "rows {} + {} of {}", row, count, out.rows);
  const Variant& variant = selected_variant();
  const std::size_t cols = weights.cols, per_row = codec.groups_per_row(cols);
  check_importance(importance, cols);
  const Importance h(importance, cols, fit);
  if (!codec.has_codes()) {
    for (std::size_t r = row; r < row + count; ++r) keep_row(weights, r, out);
    return;
  }
  std::vector<float> widened(cols);
  std::vector<std::uint8_t> codes(cols);
  std::vector<GroupParams> groups(count * per_row);
  for (std::size_t r = 0; r < count; ++r) {
    GroupParams* mine = groups.data() + r * per_row;
    widen_row(weights, row + r, widened);
    codec.rows->fit(variant, codec, widened.data(), h.data(), cols, fit, tensor_scale, mine);
    codec.rows->round(variant, codec, widened.data(), importance.data(), cols, mine, codes.data());
    codec.rows->store_codes(variant, out, row + r, codes.data());
  }
  codec.rows->store_groups(variant, out, row, count, groups.data(), tensor_scale);
}

void decode_row(const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
  in.codec->rows->decode(selected_variant(), in, row, col, count, out);
}

void multiply_rows(const Variant& variant, const Stored& in, std::size_t row, std::size_t rows, FewRows x, float* y,
                   std::size_t y_stride) {
  STRATA_CHECK(x.cols == in.cols && row + rows <= in.rows, "rows {} + {} of {} x {}, {} columns of x", row, rows,
               in.rows, in.cols, x.cols);
  in.codec->rows->dot(variant, in, row, rows, x, y, y_stride);
}

bool multiply_rows(const Variant& variant, const Stored& in, std::size_t row, std::size_t rows, const ByteRow& x,
                   float* y) {
  STRATA_CHECK(x.cols == in.cols && row + rows <= in.rows, "rows {} + {} of {} x {}, {} columns of x", row, rows,
               in.rows, in.cols, x.cols);
  const auto dot = in.codec->rows->dot_bytes;
  return dot != nullptr && variant.bytes != nullptr && in.cols % kByteBlock == 0 && dot(variant, in, row, rows, x, y);
}

}  // namespace strata::codec
