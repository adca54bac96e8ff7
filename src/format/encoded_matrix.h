// Matrices as other programs store them, dense or quantized, read as f32 a row at a time: FP8 with scales of blocks,
// rows or the whole, MXFP4 of gpt-oss, NVFP4 of ModelOpt. Layouts and sources: docs/formats/quantized-sources.md.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "format/safetensors.h"

namespace strata::format {

/// The tensors that together hold one matrix, or a stack of equal ones. Does not own.
struct EncodedParts {
  const TensorView* codes = nullptr;
  const TensorView* scales = nullptr;         ///< null where the file has none
  const TensorView* tensor_scales = nullptr;  ///< of NVFP4: one number a matrix, or one for all
};

/// A stack of equal matrices (planes, rows, cols), checked: every row can be read. Does not own its tensors.
class EncodedMatrix {
 public:
  enum class Kind { dense, fp8, mxfp4, nvfp4 };
  /// Rows and columns that share a scale where a file has fewer scales than rows or columns and more than one.
  using Block = std::array<std::uint64_t, 2>;

  EncodedMatrix() = default;
  /// The element type of the codes says what is stored: BF16, F16, F32; F8_E4M3 with scales; U8 with scales, which are
  /// NVFP4 with tensor_scales and else MXFP4, its codes (rows, cols / 32, 16). stacked: the first extent of every
  /// tensor counts planes. Throws Error naming `where` and the tensor for other types, and for shapes that do not fit
  /// each other.
  EncodedMatrix(const EncodedParts& parts, bool stacked, Block block, const std::string& where);
  /// A dense tensor (planes, size) as planes of one column.
  static EncodedMatrix column(const TensorView& tensor, const std::string& where);

  Kind kind() const { return kind_; }
  std::uint64_t planes() const { return planes_; }
  std::uint64_t rows() const { return rows_; }
  std::uint64_t cols() const { return cols_; }
  const TensorView& codes() const { return *parts_.codes; }
  const EncodedParts& parts() const { return parts_; }
  /// Whether every row has one scale of its own, which fp8_channel can hold.
  bool has_row_scales() const { return kind_ == Kind::fp8 && block_[0] == 1 && scale_cols_ == 1; }
  /// How many weights of a row share one scale of FP8; 0 for other kinds.
  std::uint64_t scale_group() const { return kind_ == Kind::fp8 ? block_[1] : 0; }
  /// The scales of row `row` of a plane of FP8, one for every scale_group() weights.
  void read_scales(std::uint64_t plane, std::uint64_t row, float* out) const;
  /// "BF16", "F8_E4M3 in blocks of 128 x 128", "MXFP4".
  std::string type() const;
  /// Bytes of one row's codes.
  std::uint64_t row_bytes() const { return row_bytes_; }
  /// Bytes of one plane, its scales included.
  std::uint64_t plane_bytes() const;
  /// Codes or scales of one plane.
  std::span<const std::byte> plane_of(const TensorView& tensor, std::uint64_t plane) const;
  /// Row `row` of a plane; out: cols() values.
  void read_row(std::uint64_t plane, std::uint64_t row, float* out) const;

 private:
  void bind_fp8(bool stacked, const std::string& where);
  void bind_mxfp4(bool stacked, const std::string& where);
  void bind_nvfp4(bool stacked, const std::string& where);

  Kind kind_ = Kind::dense;
  EncodedParts parts_;
  std::uint64_t planes_ = 1, rows_ = 0, cols_ = 0, row_bytes_ = 0;
  std::uint64_t scale_cols_ = 0;  ///< scales in a row of them
  Block block_ = {1, 1};          ///< rows and columns that share a scale
};

}  // namespace strata::format
