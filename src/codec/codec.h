// A codec: how the weights of one linear become bytes and back. Codecs are values in one table; nothing else in the
// program knows a bit layout. How the codes are chosen (rtn, gptq, ...) is a method's business: src/quantize.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/activations.h"
#include "codec/group_params.h"
#include "core/dtype.h"
#include "core/matrix.h"

namespace strata::codec {

/// One stored tensor of a linear: `MODULE.SUFFIX`, row-major.
struct PartSpec {
  std::string suffix;  ///< "weight", "weight_packed", "weight_scale", ...
  DType dtype;
  std::vector<std::uint64_t> shape;
  /// Saturates at the largest 64-bit value.
  std::uint64_t bytes() const;
};

struct Codec;
struct RowFunctions;

/// Codecs of one family share their formulas. All types of GGUF are one family.
enum class Family { keep, integer, affine, fp8, nvfp4, mxfp4, mxfp8, ggml };

/// The kind of checkpoint that holds a codec.
enum class Container { any, compressed_tensors, gguf, mlx };

/// The largest vector_size.
inline constexpr std::size_t kMostVector = 8;

/// One linear in stored form; parts[i] holds the bytes of specs[i].
struct Stored {
  const Codec* codec = nullptr;
  std::size_t rows = 0, cols = 0;
  std::vector<PartSpec> specs;
  std::vector<std::vector<std::byte>> parts;      ///< owned bytes; empty when the views point into a mapped file
  std::vector<std::span<const std::byte>> views;  ///< always valid: into `parts` or a mapped file
};

/// All functions are pure and total on finite weights, and are the specification that the row functions equal bit for
/// bit. "keep" has no codes: its fit, round, value and pack are null; encode_rows and unpack serve it as any other.
/// Most codecs round every weight on its own. Those of codebooks round vector_size neighbours of one group together,
/// as not all combinations of codes are points of the book; each weight still has a code and a value of its own.
struct Codec {
  std::string name;  ///< "int4_g64", "fp8_channel", "nvfp4", "keep"
  Family family = Family::keep;
  Container container = Container::compressed_tensors;
  unsigned code_bits = 0;      ///< bits of one code, scales not counted
  std::size_t group_size = 0;  ///< weights along the input dimension that share one scale; 0: the whole row
  bool symmetric = true;
  bool tensor_scaled = false;  ///< needs a tensor-level scale (nvfp4), shared by the linears that a runtime fuses
  /// How checkpoints tell the runtime to round what the linear reads. Codecs may differ in this alone.
  ActivationRounding::Kind activations = ActivationRounding::Kind::none;

  /// Chooses the parameters of one group of weights. importance: as weights, or empty for all ones. Null when the
  /// codec has super-blocks: their groups share numbers and are fitted together by fit_super.
  GroupParams (*fit)(const Codec&, std::span<const float> weights, std::span<const float> importance, ScaleFit,
                     float tensor_scale) = nullptr;
  /// The nearest code (ties as the codec's page says), and its weight. round is null when vector_size > 1.
  std::uint8_t (*round)(const Codec&, float weight, const GroupParams&) = nullptr;
  float (*value)(const Codec&, std::uint8_t code, const GroupParams&) = nullptr;
  /// Tensors of a (rows, cols) linear, in the order they are written.
  std::vector<PartSpec> (*layout)(const Codec&, std::uint64_t rows, std::uint64_t cols) = nullptr;
  /// Writes rows [row, row + count) from codes (count, cols) and groups (count, groups) into `out`, whose parts have
  /// the layout's sizes. `row` is a multiple of 32 and count too, but for the last rows, so that calls for different
  /// rows touch different bytes.
  void (*pack)(const Codec&, Stored& out, std::size_t row, std::size_t count, const std::uint8_t* codes,
               const GroupParams* groups, float tensor_scale) = nullptr;
  /// The inverse of pack for one row: weights [col, col + count) of row `row` as f32. Both are multiples of 64, or the
  /// row's end.
  void (*unpack)(const Codec&, const Stored& in, std::size_t row, std::size_t col, std::size_t count,
                 float* out) = nullptr;

  /// The same on whole rows, fast (codec/family.h); every codec has them. Callers use encode_rows and its like.
  const RowFunctions* rows = nullptr;
  /// Weights of a super-block, a multiple of group_size whose groups are fitted together (256 for q4_k); else 0.
  std::size_t super_size = 0;
  /// The parameters of the super_size / group_size groups of one super-block; arguments as fit.
  void (*fit_super)(const Codec&, std::span<const float> weights, std::span<const float> importance, ScaleFit,
                    std::span<GroupParams> groups) = nullptr;

  /// Weights that are rounded together; divides group_size.
  std::size_t vector_size = 1;
  /// Null when vector_size is 1. The codes of vector_size weights of least error under `importance` (as weights; null
  /// stands for ones).
  void (*round_vector)(const Codec&, const float* weights, const float* importance, const GroupParams&,
                       std::uint8_t* codes) = nullptr;

  bool has_codes() const { return value != nullptr; }
  /// Whether a checkpoint holds a scale of what the linear reads, which a calibration text gives.
  bool has_input_scale() const { return has_fixed_scale(activations); }
  bool is_integer() const { return family == Family::integer; }
  /// Columns that must be fitted in one piece: fit_row takes any stretch of a row that is cut at multiples of it.
  std::size_t fit_size(std::size_t cols) const {
    return super_size != 0 ? super_size : group_size == 0 ? cols : group_size;
  }
  std::size_t groups_per_row(std::size_t cols) const {
    return group_size == 0 ? 1 : (cols + group_size - 1) / group_size;
  }
};

/// Every codec, in the order of the documentation. Names are unique.
std::span<const Codec> all();
/// The codec of a name, or nullptr; by_name throws Error listing the known names.
const Codec* find(std::string_view name);
const Codec& by_name(std::string_view name);

/// E4M3 codes with a scale in f32 for every 128 weights of a row. Sources are read by it and nothing is written: it is
/// not among all(), and has no fit, round and pack.
const Codec& fp8_groups();

/// Empty when the codec can hold a (rows, cols) linear, else why not ("its groups of 64 do not divide 100 columns").
std::string why_not(const Codec&, std::uint64_t rows, std::uint64_t cols);
/// Exact bytes of a linear on disk, padding and side tensors included. The planner and the writer both use this one.
std::uint64_t stored_bytes(const Codec&, std::uint64_t rows, std::uint64_t cols);
/// An empty Stored with the layout's sizes, all zero.
Stored allocate(const Codec&, std::size_t rows, std::size_t cols);
/// The tensor-level scale that goes with the largest magnitude of a weight (1 for codecs without one).
float tensor_scale(const Codec&, float absmax);

// The functions below give what a codec's fit, round, value, pack and unpack give, bit for bit, by the fastest variant
// for this CPU.

/// A row of weights as f32; out: weights.cols values.
void widen_row(const MatrixView& weights, std::size_t row, std::span<float> out);
/// The parameters of every group of a row. importance: as weights, or empty; groups: groups_per_row(weights.size()).
void fit_row(const Codec&, std::span<const float> weights, std::span<const float> importance, ScaleFit,
             float tensor_scale, std::span<GroupParams> groups);
/// The codes of codec.vector_size weights of one group, by Codec::round or round_vector. importance: as weights, or
/// null.
void round_vector(const Codec&, const float* weights, const float* importance, const GroupParams&, std::uint8_t* codes);
/// What a reader will see of a row: value(round(weight)). importance: as weights, or empty.
void round_trip_row(const Codec&, std::span<const float> weights, std::span<const float> importance,
                    std::span<const GroupParams> groups, std::span<float> decoded);
/// Round to nearest: fit + round + pack of rows [row, row + count) (32-aligned as in pack). Calls for different rows
/// may run at the same time. importance: cols values or empty.
void encode_rows(const Codec&, const MatrixView& weights, std::span<const float> importance, ScaleFit,
                 float tensor_scale, std::size_t row, std::size_t count, Stored& out);
/// Weights [col, col + count) of row `row` as f32; col and count as in Codec::unpack.
void decode_row(const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out);

}  // namespace strata::codec
