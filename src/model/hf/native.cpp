// A matrix is read row by row on all threads; one whose stack holds (in, out) is turned around, a row of the stack at
// a time. No more than the one matrix is held.
#include "model/hf/native.h"

#include <algorithm>
#include <cstring>

#include "core/numbers.h"
#include "core/threads.h"

namespace strata::model {
namespace {

using format::EncodedMatrix;

/// Elements of `bytes` bytes, turned around: out is (rows, cols), row r of it column first + r * step of the stack.
std::vector<std::byte> turned(const Place& place, std::size_t bytes) {
  const EncodedMatrix& stack = place.stack;
  const std::span<const std::byte> plane = stack.plane_of(stack.codes(), place.plane);
  std::vector<std::byte> out(place.rows * place.cols * bytes);
  constexpr std::size_t stretch = 64;
  parallel_for((place.rows + stretch - 1) / stretch, [&](std::size_t item) {
    const std::size_t begin = item * stretch, end = std::min<std::size_t>(place.rows, begin + stretch);
    for (std::size_t c = 0; c < place.cols; ++c)
      for (std::size_t r = begin; r < end; ++r)
        std::memcpy(out.data() + (r * place.cols + c) * bytes,
                    plane.data() + c * stack.row_bytes() + (place.first + r * place.step) * bytes, bytes);
  });
  return out;
}

/// Values of a stack that is quantized.
std::vector<float> values_of(const Place& place) {
  const EncodedMatrix& stack = place.stack;
  std::vector<float> values(place.rows * place.cols);
  if (!place.transposed) {
    parallel_for(place.rows, [&](std::size_t r) {
      stack.read_row(place.plane, place.first + r * place.step, values.data() + r * place.cols);
    });
    return values;
  }
  parallel_for(place.cols, [&](std::size_t c) {
    std::vector<float> row(stack.cols());
    stack.read_row(place.plane, c, row.data());
    for (std::size_t r = 0; r < place.rows; ++r) values[r * place.cols + c] = row[place.first + r * place.step];
  });
  return values;
}

/// Rows of a tensor of the stack that belong to the place: as they lie there, or gathered into `own`.
std::span<const std::byte> rows_of(const Place& place, const format::TensorView& tensor, std::vector<std::byte>& own) {
  const std::span<const std::byte> plane = place.stack.plane_of(tensor, place.plane);
  const std::size_t bytes = plane.size() / place.stack.rows();
  if (place.step == 1) return plane.subspan(place.first * bytes, place.rows * bytes);
  own.resize(place.rows * bytes);
  for (std::size_t r = 0; r < place.rows; ++r)
    std::copy_n(plane.data() + (place.first + r * place.step) * bytes, bytes, own.data() + r * bytes);
  return own;
}

/// Scales as BF16; false when one of them would change, or is not there.
bool narrow_scales(const Place& place, std::vector<std::byte>& out) {
  const format::TensorView& scales = *place.stack.parts().scales;
  if (scales.dtype == DType::e8m0 || !scales.data.present()) return false;
  std::vector<std::byte> own;
  const std::span<const std::byte> rows = rows_of(place, scales, own);
  std::vector<float> values(place.rows), again(place.rows);
  read_row(MatrixView::dense(rows.data(), 1, place.rows, scales.dtype), 0, 0, place.rows, values.data());
  out.resize(2 * place.rows);
  narrow_row(values, DType::bf16, out.data());
  read_row(MatrixView::dense(out.data(), 1, place.rows, DType::bf16), 0, 0, place.rows, again.data());
  return values == again;
}

/// Whether rows have the groups of fp8_groups, as blocks of 128 x 128 give them.
bool in_groups(const Place& place) {
  return !place.transposed && place.stack.scale_group() == codec::fp8_groups().group_size &&
         codec::why_not(codec::fp8_groups(), place.rows, place.cols).empty();
}

std::vector<std::byte> group_scales(const Place& place) {
  const std::size_t groups = codec::fp8_groups().groups_per_row(place.cols);
  std::vector<float> scales(place.rows * groups);
  parallel_for(place.rows, [&](std::size_t r) {
    place.stack.read_scales(place.plane, place.first + r * place.step, &scales[r * groups]);
  });
  std::vector<std::byte> bytes(scales.size() * sizeof(float));
  std::memcpy(bytes.data(), scales.data(), bytes.size());
  return bytes;
}

}  // namespace

LinearWeights weights_of(const Place& place) {
  if (place.mlx != nullptr) return {place.mlx->values(place.plane), place.rows, place.cols};
  const EncodedMatrix& stack = place.stack;
  if (stack.kind() != EncodedMatrix::Kind::dense) return {values_of(place), place.rows, place.cols};
  const DType type = stack.codes().dtype;
  if (place.transposed) return {turned(place, dtype_bytes(type)), place.rows, place.cols, type};
  const std::span<const std::byte> plane = stack.plane_of(stack.codes(), place.plane);
  MatrixView view = MatrixView::dense(plane.data() + place.first * stack.row_bytes(), place.rows, place.cols, type);
  view.row_stride_bytes = place.step * stack.row_bytes();
  return LinearWeights(view);
}

LinearWeights decoded(const codec::Stored& stored) {
  std::vector<float> values(stored.rows * stored.cols);
  parallel_for(stored.rows,
               [&](std::size_t r) { codec::decode_row(stored, r, 0, stored.cols, values.data() + r * stored.cols); });
  return {std::move(values), stored.rows, stored.cols};
}

const codec::Codec* native_codec_of(const Place& place) {
  if (place.mlx != nullptr) return place.mlx->is_native() ? &place.mlx->codec() : nullptr;
  const EncodedMatrix& stack = place.stack;
  const bool mxfp4 = stack.kind() == EncodedMatrix::Kind::mxfp4;
  if (in_groups(place)) return &codec::fp8_groups();
  if (place.transposed || (!mxfp4 && !stack.has_row_scales())) return nullptr;
  const codec::Codec& codec = codec::by_name(mxfp4 ? "mxfp4" : "fp8_channel");
  if (!codec::why_not(codec, place.rows, place.cols).empty()) return nullptr;
  std::vector<std::byte> scales;
  return mxfp4 || narrow_scales(place, scales) ? &codec : nullptr;
}

codec::Stored native_of(const Place& place) {
  const EncodedMatrix& stack = place.stack;
  const codec::Codec* const codec = native_codec_of(place);
  STRATA_CHECK(codec != nullptr, "a place without a native codec");
  if (place.mlx != nullptr) return place.mlx->plane(place.plane);
  codec::Stored stored{codec, place.rows, place.cols, codec->layout(*codec, place.rows, place.cols), {}, {}};
  stored.parts.resize(2);
  stored.views.push_back(rows_of(place, stack.codes(), stored.parts[0]));
  if (stack.kind() == EncodedMatrix::Kind::mxfp4) {
    stored.views.push_back(rows_of(place, *stack.parts().scales, stored.parts[1]));
    return stored;
  }
  if (codec == &codec::fp8_groups())
    stored.parts[1] = group_scales(place);
  else
    narrow_scales(place, stored.parts[1]);
  stored.views.emplace_back(stored.parts[1]);
  return stored;
}

std::uint64_t copied_bytes_of(const Place& place) {
  const std::uint64_t weights = place.rows * place.cols;
  if (native_codec_of(place) != nullptr) return 0;
  if (place.mlx != nullptr || place.stack.kind() != EncodedMatrix::Kind::dense) return weights * sizeof(float);
  return place.transposed ? weights * dtype_bytes(place.stack.codes().dtype) : 0;
}

}  // namespace strata::model
