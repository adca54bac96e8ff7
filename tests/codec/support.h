// Goldens, test matrices and comparisons shared by the codec tests.
// The golden file is safetensors; its few lines of reading here keep this layer's tests free of src/format.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "codec/codec.h"
#include "codec/variants.h"
#include "core/file.h"
#include "core/json.h"
#include "core/numbers.h"
#include "core/random.h"
#include "support/same_bits.h"

namespace strata::codec {

class Goldens {
 public:
  explicit Goldens(const std::string& path) : file_(path) {
    std::uint64_t length = 0;
    std::memcpy(&length, file_.bytes().data(), 8);
    header_ = parse_json({reinterpret_cast<const char*>(file_.bytes().data()) + 8, length}, path);
    data_ = file_.bytes().subspan(8 + length);
  }
  bool has(const std::string& name) const { return header_.contains(name); }
  std::string dtype(const std::string& name) const { return header_.at(name).at("dtype"); }
  std::vector<std::uint64_t> shape(const std::string& name) const { return header_.at(name).at("shape"); }
  std::span<const std::byte> bytes(const std::string& name) const {
    const auto offsets = header_.at(name).at("data_offsets").get<std::vector<std::size_t>>();
    return data_.subspan(offsets[0], offsets[1] - offsets[0]);
  }
  MatrixView matrix(const std::string& name) const {
    return MatrixView::dense(bytes(name).data(), shape(name)[0], shape(name)[1], DType::bf16);
  }

 private:
  MappedFile file_;
  json header_;
  std::span<const std::byte> data_;
};

inline const Goldens& goldens() {
  static const Goldens all(std::string(STRATA_TEST_DATA) + "/golden/codecs.safetensors");
  return all;
}

/// A matrix of f32 that owns its values.
struct Matrix {
  std::size_t rows, cols;
  std::vector<float> values = std::vector<float>(rows * cols);
  MatrixView view() const { return MatrixView::dense(values.data(), rows, cols, DType::f32); }
  std::span<const float> row(std::size_t r) const { return std::span(values).subspan(r * cols, cols); }
};

inline Matrix widened(const MatrixView& view) {
  Matrix out{view.rows, view.cols};
  for (std::size_t r = 0; r < view.rows; ++r) read_row(view, r, 0, view.cols, out.values.data() + r * view.cols);
  return out;
}

inline float absmax(const Matrix& m) {
  float most = 0;
  for (const float w : m.values) most = std::fmax(most, std::fabs(w));
  return most;
}

enum class Shape { normal, laplace };

/// bf16 values, so that they are what a checkpoint holds.
inline Matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed, Shape shape = Shape::normal) {
  Random random(seed);
  Matrix m{rows, cols};
  for (float& w : m.values) {
    const double u = random.uniform() - 0.5;
    const double x = shape == Shape::normal ? random.normal() : -std::copysign(std::log1p(-2 * std::fabs(u)), u);
    w = round_bf16(static_cast<float>(0.02 * x));
  }
  return m;
}

inline std::vector<float> random_importance(std::size_t cols, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> h(cols);
  for (float& x : h) x = static_cast<float>(std::exp(2 * random.normal()));
  return h;
}

/// All rows by encode_rows.
inline Stored encode(const Codec& codec, const MatrixView& weights, std::span<const float> importance, ScaleFit fit,
                     float tensor_scale) {
  Stored out = allocate(codec, weights.rows, weights.cols);
  encode_rows(codec, weights, importance, fit, tensor_scale, 0, weights.rows, out);
  return out;
}

/// The parameters of a row's groups by fit, or fit_super.
inline std::vector<GroupParams> fit_by_specification(const Codec& codec, std::span<const float> row,
                                                     std::span<const float> importance, ScaleFit fit,
                                                     float tensor_scale) {
  std::vector<GroupParams> groups(codec.groups_per_row(row.size()));
  const std::size_t size = codec.fit_size(row.size()), per_fit = codec.super_size == 0 ? 1 : size / codec.group_size;
  for (std::size_t c = 0, g = 0; c < row.size(); c += size, g += per_fit) {
    const std::size_t count = std::min(size, row.size() - c);
    const auto h = importance.empty() ? importance : importance.subspan(c, count);
    if (codec.super_size == 0)
      groups[g] = codec.fit(codec, row.subspan(c, count), h, fit, tensor_scale);
    else
      codec.fit_super(codec, row.subspan(c, count), h, fit, std::span(groups).subspan(g, per_fit));
  }
  return groups;
}

/// The codes of a row by round, or round_vector. importance: as weights, or empty.
inline std::vector<std::uint8_t> codes_by_specification(const Codec& codec, std::span<const float> row,
                                                        std::span<const float> importance,
                                                        std::span<const GroupParams> groups) {
  std::vector<std::uint8_t> codes(row.size());
  for (std::size_t c = 0; c < row.size(); c += codec.vector_size) {
    const GroupParams& group = groups[codec.group_size == 0 ? 0 : c / codec.group_size];
    if (codec.vector_size == 1)
      codes[c] = codec.round(codec, row[c], group);
    else
      codec.round_vector(codec, row.data() + c, importance.empty() ? nullptr : importance.data() + c, group,
                         codes.data() + c);
  }
  return codes;
}

/// All rows by the specification: fit, round and pack, one group, one weight or vector at a time.
inline Stored encode_by_specification(const Codec& codec, const Matrix& m, std::span<const float> importance,
                                      ScaleFit fit, float tensor_scale) {
  Stored out = allocate(codec, m.rows, m.cols);
  std::vector<std::uint8_t> codes;
  std::vector<GroupParams> groups;
  for (std::size_t r = 0; r < m.rows; ++r) {
    const auto mine = fit_by_specification(codec, m.row(r), importance, fit, tensor_scale);
    const auto row_codes = codes_by_specification(codec, m.row(r), importance, mine);
    codes.insert(codes.end(), row_codes.begin(), row_codes.end());
    groups.insert(groups.end(), mine.begin(), mine.end());
  }
  codec.pack(codec, out, 0, m.rows, codes.data(), groups.data(), tensor_scale);
  return out;
}

inline void expect_same_parts(const Stored& want, const Stored& got, const std::string& what) {
  ASSERT_EQ(want.parts.size(), got.parts.size()) << what;
  for (std::size_t i = 0; i < want.parts.size(); ++i)
    EXPECT_TRUE(want.parts[i] == got.parts[i]) << what << " " << want.specs[i].suffix;
}

}  // namespace strata::codec
