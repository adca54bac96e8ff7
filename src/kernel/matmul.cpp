// The loops around the register tile, the same for every instruction set. BLIS design (doi:10.1145/2764454): all of x
// is packed once a call; the weights of a few rows and kBlock columns are packed (and widened or decoded) just before
// use, into a buffer that stays in L2. Every y is the sum over column blocks, in rising order, of sums over rising
// columns: neither threads nor the cut into tiles change it. Few tokens: dot products straight over the weights' rows.
#include "kernel/matmul.h"

#include <algorithm>

#include "codec/variants.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/threads.h"
#include "kernel/dispatch.h"
#include "kernel/in_use.h"
#include "kernel/scratch.h"
#include "kernel/weight_rows.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kBlock = 768;        // columns of a block at most; a multiple of 64 for the codecs
constexpr std::size_t kMostRows = 256;     // rows of a packed block of weights at most
constexpr std::size_t kPackedX = 8 << 20;  // floats of packed x held at a time

struct Job {
  const MatmulKernel& kernel;
  const float* x;
  std::size_t x_stride, tokens;
  const Weights& w;
  float* y;
  std::size_t y_stride;
};

std::size_t padded(std::size_t count, std::size_t multiple) { return round_up(count, multiple); }

void decode(const codec::Stored& stored, std::size_t row, std::size_t rows, std::size_t col, std::size_t count,
            float* out) {
  for (std::size_t r = 0; r < rows; ++r) codec::decode_row(stored, row + r, col, count, out + r * count);
}

// ---- few tokens: dot products over the rows ----

/// Calls body(first row, rows) for stretches of the weights' rows, on all threads.
template <class Body>
void over_weight_rows(const Job& job, const Body& body) {
  kernel::over_weight_rows(job.w.rows(), job.w.rows() * job.w.cols() * job.tokens, body);
}

/// The tokens as codec::multiply_rows wants them, in aligned rows, valid until the next call.
codec::FewRows padded_rows(const Job& job) {
  const std::size_t cols = job.w.cols(), width = padded(cols, 16);
  thread_local Scratch scratch;
  const std::size_t rows = job.tokens == 1 ? 1 : padded(job.tokens, codec::kTogether);
  float* const x = scratch.floats(rows * width);
  std::fill_n(x, rows * width, 0.0f);
  for (std::size_t t = 0; t < job.tokens; ++t) std::copy_n(job.x + t * job.x_stride, cols, x + t * width);
  return {x, width, job.tokens, cols};
}

void multiply_few_stored(const Variant& variant, const Job& job) {
  const codec::FewRows x = padded_rows(job);
  const codec::Variant& decoding = codec::variant_of(variant.isa);
  over_weight_rows(job, [&](std::size_t row, std::size_t rows) {
    codec::multiply_rows(decoding, *job.w.stored, row, rows, x, job.y + row, job.y_stride);
  });
}

void multiply_few_dense(const Job& job) {
  const MatmulKernel& kernel = job.kernel;
  const MatrixView& w = job.w.dense;
  const std::size_t width = padded(ceil_div(w.cols, kernel.unit), kernel.lanes);
  thread_local Scratch scratch;
  float* x = scratch.floats(job.tokens * width);
  for (std::size_t t = 0; t < job.tokens; ++t) kernel.prepare_x(job.x + t * job.x_stride, w.cols, x + t * width);
  over_weight_rows(job, [&](std::size_t row, std::size_t rows) {
    kernel.dot(x, width, job.tokens, w.row(row), w.row_stride_bytes, w.dtype, rows, w.cols, job.y + row, job.y_stride,
               Update::store);
  });
}

// ---- many tokens: packed panels ----

/// x of some tokens, packed: panel p of column block b begins at data + (b * panels + p) * panel_floats.
struct PackedX {
  const float* data;
  std::size_t tokens, panels, panel_floats;
  const float* panel(std::size_t block, std::size_t p) const { return data + (block * panels + p) * panel_floats; }
};

/// Columns [b * width, ...) of every block but the last, which may be shorter.
struct Blocks {
  std::size_t count, width, cols;
  std::size_t size(std::size_t b) const { return std::min(width, cols - b * width); }
};

Blocks cut_columns(std::size_t cols) {
  const std::size_t count = ceil_div(cols, kBlock);
  const std::size_t width = padded(ceil_div(cols, count), 64);
  return {ceil_div(cols, width), width, cols};
}

PackedX pack_all(const Job& job, const Blocks& blocks, std::size_t token, std::size_t tokens) {
  const MatmulKernel& kernel = job.kernel;
  const std::size_t step = kernel.tile_tokens;
  const std::size_t panels = ceil_div(tokens, step);
  const std::size_t panel_floats = padded(ceil_div(blocks.width, kernel.unit) * step + kernel.lanes, 16);
  thread_local Scratch scratch;
  float* data = scratch.floats(blocks.count * panels * panel_floats);
  run(panels, tokens * blocks.cols, [&](std::size_t p) {
    const std::size_t n = std::min(step, tokens - p * step);
    for (std::size_t b = 0; b < blocks.count; ++b)
      kernel.pack_x(job.x + (token + p * step) * job.x_stride + b * blocks.width, job.x_stride, n, blocks.size(b),
                    data + (b * panels + p) * panel_floats);
  });
  return {data, tokens, panels, panel_floats};
}

/// Packs columns of `rows` rows from `row` on, tile_rows by tile_rows.
void pack_weights(const Job& job, std::size_t row, std::size_t rows, std::size_t col, std::size_t count, float* out) {
  const MatmulKernel& kernel = job.kernel;
  const std::size_t units = ceil_div(count, kernel.unit);
  thread_local Scratch scratch;
  for (std::size_t r = 0; r < rows; r += kernel.tile_rows, out += kernel.tile_rows * units) {
    const std::size_t n = std::min(kernel.tile_rows, rows - r);
    if (job.w.stored != nullptr) {
      float* decoded = scratch.floats(kernel.tile_rows * count);
      decode(*job.w.stored, row + r, n, col, count, decoded);
      kernel.pack_w(reinterpret_cast<const std::byte*>(decoded), count * sizeof(float), DType::f32, n, count, out);
    } else {
      const MatrixView& dense = job.w.dense;
      kernel.pack_w(dense.row(row + r) + col * dtype_bytes(dense.dtype), dense.row_stride_bytes, dense.dtype, n, count,
                    out);
    }
  }
}

/// y of the panels [first, last) of x and `rows` rows of weights; token is the place of panel 0 in y.
void multiply_block(const Job& job, const Blocks& blocks, const PackedX& x, std::size_t token, std::size_t first,
                    std::size_t last, std::size_t row, std::size_t rows) {
  const MatmulKernel& kernel = job.kernel;
  const InUse in_use(kernel);
  thread_local Scratch scratch;
  float* w = scratch.floats(padded(rows, kernel.tile_rows) * ceil_div(blocks.width, kernel.unit) + kernel.lanes);
  for (std::size_t b = 0; b < blocks.count; ++b) {
    pack_weights(job, row, rows, b * blocks.width, blocks.size(b), w);
    const std::size_t units = ceil_div(blocks.size(b), kernel.unit);
    for (std::size_t p = first; p < last; ++p) {
      const std::size_t t = p * kernel.tile_tokens;
      float* y = job.y + (token + t) * job.y_stride + row;
      for (std::size_t r = 0; r < rows; r += kernel.tile_rows)
        kernel.tile(x.panel(b, p), w + r * units, kernel.tile_rows, units, std::min(kernel.tile_tokens, x.tokens - t),
                    std::min(kernel.tile_rows, rows - r), y + r, job.y_stride, b == 0 ? Update::store : Update::add);
    }
  }
}

/// How y is cut into pieces of work: rows x panels of tokens.
struct Cut {
  std::size_t rows, panels;
};

/// The cut that should end first: the rounds that the threads need, with what a piece costs beside its products.
/// Packing costs as much as 15 tokens do, and reading the packed x as much as 3 rows.
Cut choose_cut(std::size_t rows, std::size_t panels, const MatmulKernel& kernel) {
  const std::size_t threads = thread_count();
  Cut best{kernel.tile_rows, panels};
  double least = 0;
  for (std::size_t r = kernel.tile_rows; r <= std::max(kMostRows, kernel.tile_rows); r *= 2)
    for (std::size_t pieces = 1; pieces <= 64 && pieces <= panels; pieces *= 2) {
      const std::size_t p = ceil_div(panels, pieces), items = ceil_div(rows, r) * ceil_div(panels, p);
      const auto tokens = static_cast<double>(p * kernel.tile_tokens), size = static_cast<double>(std::min(r, rows));
      // Half a piece more: threads are not equally fast, so the last piece ends alone.
      const double cost =
          (static_cast<double>(ceil_div(items, threads)) + (threads > 1 ? 0.5 : 0.0)) * (tokens + 15) * (size + 3);
      if (least == 0 || cost < least) {
        least = cost;
        best = {r, p};
      }
    }
  return best;
}

void multiply_packed(const Job& job, std::size_t token, std::size_t tokens) {
  const std::size_t rows = job.w.rows(), cols = job.w.cols();
  const Blocks blocks = cut_columns(cols);
  const PackedX x = pack_all(job, blocks, token, tokens);
  const Cut cut = choose_cut(rows, x.panels, job.kernel);
  const std::size_t token_items = ceil_div(x.panels, cut.panels);
  run(ceil_div(rows, cut.rows) * token_items, rows * cols * tokens, [&](std::size_t item) {
    const std::size_t row = item / token_items * cut.rows, first = item % token_items * cut.panels;
    multiply_block(job, blocks, x, token, first, std::min(first + cut.panels, x.panels), row,
                   std::min(cut.rows, rows - row));
  });
}

}  // namespace

void matmul(const Variant& variant, const float* x, std::size_t x_stride, std::size_t tokens, const Weights& w,
            float* y, std::size_t y_stride, Precision precision) {
  const std::size_t rows = w.rows(), cols = w.cols();
  STRATA_CHECK(x_stride >= cols && y_stride >= rows, "x {} < {} or y {} < {}", x_stride, cols, y_stride, rows);
  if (tokens == 0 || rows == 0) return;
  if (cols == 0) {
    for (std::size_t t = 0; t < tokens; ++t) std::fill_n(y + t * y_stride, rows, 0.0f);
    return;
  }
  const MatmulKernel& kernel = precision == Precision::bf16 ? variant.bf16 : variant.f32;
  const Job job{kernel, x, x_stride, tokens, w, y, y_stride};
  if (tokens <= kFewTokens) return w.stored != nullptr ? multiply_few_stored(variant, job) : multiply_few_dense(job);
  const std::size_t together =
      std::max<std::size_t>(16, kPackedX / padded(ceil_div(cols, kernel.unit), 64) / kernel.tile_tokens) *
      kernel.tile_tokens;
  for (std::size_t t = 0; t < tokens; t += together) multiply_packed(job, t, std::min(together, tokens - t));
}

void read_row(const Weights& weights, std::size_t row, float* out) {
  if (weights.stored != nullptr)
    codec::decode_row(*weights.stored, row, 0, weights.cols(), out);
  else
    strata::read_row(weights.dense, row, 0, weights.cols(), out);
}

void matmul(const float* x, std::size_t x_stride, std::size_t tokens, const Weights& w, float* y, std::size_t y_stride,
            Precision precision) {
  matmul(selected_variant(), x, x_stride, tokens, w, y, y_stride, precision);
}

}  // namespace strata::kernel
