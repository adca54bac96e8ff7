// Peaks from register-only loops and sweeps over large buffers; kernels timed in turns with them.
// Times are those of the slowest thread, taken around a parallel region that is long against its start.
#include "kernel/peaks.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <random>

#include "core/checked.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/numbers.h"
#include "core/threads.h"
#include "kernel/dispatch.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kFewTokens = 8;  // up to here a product is judged by bandwidth
constexpr std::array<MatmulShape, 10> kShapes{{{"SmolLM2", 576, 576},
                                               {"SmolLM2", 192, 576},
                                               {"SmolLM2", 1536, 576},
                                               {"SmolLM2", 576, 1536},
                                               {"SmolLM2", 49152, 576},
                                               {"Llama-8B", 4096, 4096},
                                               {"Llama-8B", 1024, 4096},
                                               {"Llama-8B", 14336, 4096},
                                               {"Llama-8B", 4096, 14336},
                                               {"Llama-8B", 128256, 4096}}};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// GFLOPS of the register loop on all threads, over about 10 ms.
double spin_once(const MatmulKernel& kernel) {
  constexpr std::size_t rounds = 1 << 20;
  const std::size_t threads = thread_count();
  std::vector<double> done(threads);
  const double begin = now();
  parallel_team([&](std::size_t thread, std::size_t) { done[thread] = kernel.spin(rounds); });
  const double seconds = now() - begin;
  double operations = 0;
  for (const double d : done) operations += d;
  return operations / seconds * 1e-9;
}

/// Best of runs of `once` during `seconds`, three at least.
template <class Once>
double best_rate(double seconds, const Once& once) {
  const double end = now() + seconds;
  double best = 0;
  for (int run = 0; run < 3 || now() < end; ++run) best = std::max(best, once());
  return best;
}

std::vector<std::byte> big_buffer() {
  const std::size_t bytes = physical_memory_bytes() < (4ull << 30) ? 64u << 20 : 256u << 20;
  return std::vector<std::byte>(bytes, std::byte{1});
}

/// Bytes per second (in 1e9) of body(first byte, count) over the buffer, by pieces of 1 MiB.
template <class Body>
double sweep_once(std::size_t bytes, const Body& body) {
  constexpr std::size_t piece = 1 << 20;
  const double begin = now();
  parallel_for(bytes / piece, [&](std::size_t i) { body(i * piece, piece); });
  return static_cast<double>(bytes) / (now() - begin) * 1e-9;
}

double read_once(const std::vector<std::byte>& buffer) {
  const RowKernel& rows = selected_table().rows;
  return sweep_once(buffer.size(), [&](std::size_t first, std::size_t count) {
    const float most = rows.max(reinterpret_cast<const float*>(buffer.data() + first), count / sizeof(float));
    STRATA_CHECK(most > 0, "read {}", most);
  });
}

struct Product {
  std::vector<std::byte> weights;
  std::vector<float> x, y;
  Weights w;
};

Product make_product(const MatmulShape& shape, std::size_t tokens) {
  Product p;
  std::mt19937 random(1);
  p.weights.resize(shape.rows * shape.cols * 2);
  // Weights of magnitude 1 to 2 over 64, either sign: 7 random bits of mantissa and one of sign.
  for (std::size_t i = 0; i < p.weights.size(); i += 2) {
    const auto bits = static_cast<std::uint16_t>(0x3C80u | (random() & 0x807Fu));
    std::memcpy(&p.weights[i], &bits, 2);
  }
  p.x.resize(tokens * shape.cols);
  for (float& v : p.x) v = static_cast<float>(random() % 2001u) / 1000.0f - 1.0f;
  p.y.resize(tokens * shape.rows);
  p.w = {MatrixView::dense(p.weights.data(), shape.rows, shape.cols, DType::bf16), nullptr};
  return p;
}

/// Compares some elements of y with sums in double.
void check_product(const Product& p, std::size_t tokens, Precision precision) {
  const std::size_t rows = p.w.rows(), cols = p.w.cols();
  std::vector<float> row(cols);
  for (std::size_t i = 0; i < 200; ++i) {
    const std::size_t t = i * 7919 % tokens, r = i * 104729 % rows;
    read_row(p.w.dense, r, 0, cols, row.data());
    double sum = 0, size = 0;
    for (std::size_t c = 0; c < cols; ++c) {
      const float x = precision == Precision::bf16 ? round_bf16(p.x[t * cols + c]) : p.x[t * cols + c];
      sum += static_cast<double>(x) * row[c];
      size += std::abs(static_cast<double>(x) * row[c]);
    }
    const double error = std::abs(sum - p.y[t * rows + r]);
    STRATA_CHECK(error <= std::ldexp(size, -20), "token {} row {}: {} instead of {}", t, r, p.y[t * rows + r], sum);
  }
}

}  // namespace

MachinePeaks measure_peaks(double seconds) {
  const Table& table = selected_table();
  MachinePeaks peaks;
  peaks.f32_gflops = best_rate(seconds / 4, [&] { return spin_once(table.f32); });
  peaks.bf16_gflops = best_rate(seconds / 4, [&] { return spin_once(table.bf16); });
  const std::vector<std::byte> from = big_buffer();
  std::vector<std::byte> to(from.size());
  peaks.read_gb_per_second = best_rate(seconds / 4, [&] { return read_once(from); });
  peaks.copy_gb_per_second = best_rate(seconds / 4, [&] {
    return sweep_once(from.size(), [&](std::size_t first, std::size_t count) {
      std::memcpy(to.data() + first, from.data() + first, count);
    });
  });
  return peaks;
}

std::span<const MatmulShape> model_shapes() { return kShapes; }

KernelFigure measure_matmul(const MatmulShape& shape, std::size_t tokens, Precision precision, double seconds) {
  const Table& table = selected_table();
  Product p = make_product(shape, tokens);
  const auto multiply = [&] { matmul(table, p.x.data(), shape.cols, tokens, p.w, p.y.data(), shape.rows, precision); };
  multiply();
  check_product(p, tokens, precision);
  const bool by_bandwidth = tokens <= kFewTokens;
  const std::vector<std::byte> buffer = by_bandwidth ? big_buffer() : std::vector<std::byte>();
  const double operations = 2.0 * static_cast<double>(tokens * shape.rows * shape.cols);
  double best = INFINITY, peak = 0;
  const double end = now() + seconds;
  for (int run = 0; run < 3 || now() < end; ++run) {
    // A run is as long as the peak's, about 10 ms: short products are repeated.
    const double first = now();
    multiply();
    const double once = now() - first;
    const int repeats = static_cast<int>(std::clamp(0.01 / once, 1.0, 1000.0));
    const double begin = now();
    for (int i = 0; i < repeats; ++i) multiply();
    best = std::min({best, (now() - begin) / repeats});
    peak = std::max(
        peak, by_bandwidth ? read_once(buffer) : spin_once(precision == Precision::bf16 ? table.bf16 : table.f32));
  }
  const double gflops = operations / best * 1e-9, gb = static_cast<double>(p.weights.size()) / best * 1e-9;
  return {fmt::format("{} {}x{}", shape.model, shape.rows, shape.cols),
          shape.rows,
          shape.cols,
          tokens,
          precision,
          gflops,
          gb,
          (by_bandwidth ? gb : gflops) / peak};
}

KernelFigure measure_attention(std::size_t tokens, std::size_t heads, std::size_t kv_heads, std::size_t head_dim,
                               double seconds) {
  const Table& table = selected_table();
  const std::size_t width = heads * head_dim, kv_width = kv_heads * head_dim;
  std::mt19937 random(1);
  std::vector<float> q(tokens * width), k(tokens * kv_width), out(q.size());
  for (float& v : q) v = static_cast<float>(random() % 2001u) / 1000.0f - 1.0f;
  for (float& v : k) v = static_cast<float>(random() % 2001u) / 1000.0f - 1.0f;
  // With all values one, every output is one.
  std::vector<float> v(k.size(), 1.0f);
  const Attention call{
      q.data(), width, k.data(), v.data(), kv_width, out.data(), width,
      tokens,   0,     heads,    kv_heads, head_dim, 0,          1.0f / std::sqrt(static_cast<float>(head_dim))};
  attention(table, {&call, 1});
  for (const float o : out) STRATA_CHECK(std::abs(o - 1.0f) < 1e-5f, "attention gives {}", o);
  const double operations = 4.0 * static_cast<double>(tokens * (tokens + 1) / 2 * heads * head_dim);
  double best = INFINITY, peak = 0;
  const double end = now() + seconds;
  for (int run = 0; run < 3 || now() < end; ++run) {
    const double begin = now();
    attention(table, {&call, 1});
    best = std::min(best, now() - begin);
    peak = std::max(peak, spin_once(table.f32));
  }
  const double gflops = operations / best * 1e-9;
  return {fmt::format("attention {}/{} heads of {}", heads, kv_heads, head_dim),
          tokens,
          head_dim,
          tokens,
          Precision::f32,
          gflops,
          0,
          gflops / peak};
}

}  // namespace strata::kernel
