// Peaks from register-only loops and sweeps over large buffers; kernels timed in turns with them.
// Times are those of the slowest thread, taken around a parallel region that is long against its start.
#include "kernel/peaks.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <random>
#include <span>

#include "core/checked.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/numbers.h"
#include "core/threads.h"
#include "kernel/dispatch.h"
#include "kernel/in_use.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kBandwidthTokens = 8;  // up to here a product is judged by bandwidth
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

/// GFLOPS of the register loop on all threads, over a few milliseconds: short enough to fit between what else runs.
double spin_once(const MatmulKernel& kernel) {
  constexpr std::size_t rounds = 1 << 18;
  const std::size_t threads = thread_count();
  std::vector<double> done(threads);
  const double begin = now();
  parallel_team([&](std::size_t thread, std::size_t) {
    const InUse in_use(kernel);
    done[thread] = kernel.spin(rounds);
  });
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

struct Timing {
  double seconds, peak;
};

/// Runs of the kernel, 2 ms or one call each, in turns with the peak: what slows the machine slows both.
template <class Kernel, class Peak>
Timing time_in_turns(double seconds, const Kernel& kernel, const Peak& peak_once) {
  const double first = now();
  kernel();
  const int repeats = static_cast<int>(std::clamp(0.002 / (now() - first), 1.0, 1000.0));
  Timing best{INFINITY, 0};
  const double end = now() + seconds;
  for (int run = 0; run < 2 || now() < end; ++run) {
    const double begin = now();
    for (int i = 0; i < repeats; ++i) kernel();
    best.seconds = std::min(best.seconds, (now() - begin) / repeats);
    best.peak = std::max(best.peak, peak_once());
  }
  return best;
}

/// Far more than the caches hold.
std::size_t big_buffer_bytes() { return physical_memory_bytes() < (4ull << 30) ? 64u << 20 : 256u << 20; }
std::vector<std::byte> big_buffer() { return std::vector<std::byte>(big_buffer_bytes(), std::byte{1}); }

/// Bytes per second (in 1e9) of body(first byte, count) over the buffer, by pieces of 1 MiB.
template <class Body>
double sweep_once(std::size_t bytes, const Body& body) {
  constexpr std::size_t piece = 1 << 20;
  const double begin = now();
  parallel_for(ceil_div(bytes, piece), [&](std::size_t i) { body(i * piece, std::min(piece, bytes - i * piece)); });
  return static_cast<double>(bytes) / (now() - begin) * 1e-9;
}

double read_once(std::span<const std::byte> buffer) {
  const RowKernel& rows = selected_variant().rows;
  return sweep_once(buffer.size(), [&](std::size_t first, std::size_t count) {
    // The largest of anything but NaN is at least minus infinity: the comparison only keeps the reads.
    const float most = rows.max(reinterpret_cast<const float*>(buffer.data() + first), count / sizeof(float));
    STRATA_CHECK(!(most < -INFINITY));
  });
}

struct Product {
  std::size_t rows, cols;
  std::vector<std::byte> weights;  // copies, one after the other
  std::size_t copies;
  std::vector<float> x, y;

  std::size_t bytes() const { return rows * cols * 2; }
  Weights copy(std::size_t i) const {
    return {MatrixView::dense(&weights[i % copies * bytes()], rows, cols, DType::bf16), nullptr};
  }
};

Product make_product(const MatmulShape& shape, std::size_t tokens) {
  const std::size_t fitting = physical_memory_bytes() / 8 / (shape.cols * 2);
  Product p{std::min(shape.rows, fitting), shape.cols, {}, 1, {}, {}};
  if (tokens <= kBandwidthTokens) p.copies = std::max<std::size_t>(1, big_buffer_bytes() / p.bytes());
  p.weights.resize(p.copies * p.bytes());
  // Weights of magnitude 1 to 2 over 64, either sign: 7 random bits of mantissa and one of sign. A period that is no
  // divisor of a row makes all rows differ.
  std::mt19937 random(1);
  const std::size_t period = std::min<std::size_t>(p.weights.size(), 2 * 99991);
  for (std::size_t i = 0; i < period; i += 2) {
    const auto bits = static_cast<std::uint16_t>(0x3C80u | (random() & 0x807Fu));
    std::memcpy(&p.weights[i], &bits, 2);
  }
  for (std::size_t i = period; i < p.weights.size(); i += period)
    std::memcpy(&p.weights[i], p.weights.data(), std::min(period, p.weights.size() - i));
  p.x.resize(tokens * p.cols);
  for (float& v : p.x) v = static_cast<float>(random() % 2001u) / 1000.0f - 1.0f;
  p.y.resize(tokens * p.rows);
  return p;
}

/// Compares some elements of y with sums in double.
void check_product(const Product& p, std::size_t tokens, Precision precision) {
  const std::size_t rows = p.rows, cols = p.cols;
  const Weights w = p.copy(0);
  std::vector<float> row(cols);
  for (std::size_t i = 0; i < 200; ++i) {
    const std::size_t t = i * 7919 % tokens, r = i * 104729 % rows;
    read_row(w.dense, r, 0, cols, row.data());
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
  const Variant& variant = selected_variant();
  MachinePeaks peaks;
  peaks.f32_gflops = best_rate(seconds / 4, [&] { return spin_once(variant.f32); });
  peaks.bf16_gflops = best_rate(seconds / 4, [&] { return spin_once(variant.bf16); });
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
  const Variant& variant = selected_variant();
  Product p = make_product(shape, tokens);
  std::size_t turn = 0;
  const auto multiply = [&] {
    matmul(variant, p.x.data(), p.cols, tokens, p.copy(turn++), p.y.data(), p.rows, precision);
  };
  multiply();
  check_product(p, tokens, precision);
  KernelFigure figure{fmt::format("{} {}x{}", shape.model, p.rows, p.cols), tokens, precision};
  figure.by_bandwidth = tokens <= kBandwidthTokens;
  const Timing timing = time_in_turns(seconds, multiply, [&] {
    return figure.by_bandwidth ? read_once(p.weights)
                               : spin_once(precision == Precision::bf16 ? variant.bf16 : variant.f32);
  });
  figure.gflops = 2e-9 * static_cast<double>(tokens * p.rows * p.cols) / timing.seconds;
  figure.gb_per_second = 1e-9 * static_cast<double>(p.bytes()) / timing.seconds;
  figure.share = (figure.by_bandwidth ? figure.gb_per_second : figure.gflops) / timing.peak;
  return figure;
}

KernelFigure measure_work(const std::string& name, std::size_t tokens, Precision precision, double operations,
                          const std::function<void()>& work, double seconds) {
  const Variant& variant = selected_variant();
  work();
  const Timing timing = time_in_turns(
      seconds, work, [&] { return spin_once(precision == Precision::bf16 ? variant.bf16 : variant.f32); });
  KernelFigure figure{name, tokens, precision};
  figure.gflops = 1e-9 * operations / timing.seconds;
  figure.share = figure.gflops / timing.peak;
  return figure;
}

KernelFigure measure_reading(const std::string& name, std::size_t tokens, double operations,
                             std::span<const std::byte> bytes, const std::function<void()>& work, double seconds) {
  work();
  const Timing timing = time_in_turns(seconds, work, [&] { return read_once(bytes); });
  KernelFigure figure{name, tokens, Precision::f32};
  figure.by_bandwidth = true;
  figure.gflops = 1e-9 * operations / timing.seconds;
  figure.gb_per_second = 1e-9 * static_cast<double>(bytes.size()) / timing.seconds;
  figure.share = figure.gb_per_second / timing.peak;
  return figure;
}

KernelFigure measure_attention(std::size_t tokens, std::size_t heads, std::size_t kv_heads, std::size_t head_dim,
                               double seconds) {
  const Variant& variant = selected_variant();
  const std::size_t width = heads * head_dim, kv_width = kv_heads * head_dim;
  std::mt19937 random(1);
  std::vector<float> q(tokens * width), k(tokens * kv_width), out(q.size());
  for (float& v : q) v = static_cast<float>(random() % 2001u) / 1000.0f - 1.0f;
  for (float& v : k) v = static_cast<float>(random() % 2001u) / 1000.0f - 1.0f;
  // With all values one, every output is one.
  const std::vector<float> v(k.size(), 1.0f);
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  const Attention call{q.data(), width, k.data(), v.data(), kv_width, out.data(), width,
                       tokens,   0,     heads,    kv_heads, head_dim, 0,          scale};
  attention(variant, {&call, 1});
  for (const float o : out) STRATA_CHECK(std::abs(o - 1.0f) < 1e-5f, "attention gives {}", o);
  const Timing timing = time_in_turns(
      seconds,
      [&] {
        attention(variant, {&call, 1});
      },
      [&] { return spin_once(variant.f32); });
  KernelFigure figure{fmt::format("attention {}/{} heads of {}", heads, kv_heads, head_dim), tokens, Precision::f32};
  figure.gflops = 4e-9 * static_cast<double>(tokens * (tokens + 1) / 2 * heads * head_dim) / timing.seconds;
  figure.share = figure.gflops / timing.peak;
  return figure;
}

KernelFigure measure_log_sum_exp(std::size_t size, double seconds) {
  constexpr std::size_t rows = 512;
  const Variant& variant = selected_variant();
  std::vector<float> logits(rows * size);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i * 7919 % 2003) * 0.01f;
  std::vector<double> out(rows);
  const auto all = [&] {
    parallel_for(rows, [&](std::size_t r) { out[r] = log_sum_exp(variant, &logits[r * size], size); });
  };
  all();
  double sum = 0;
  for (std::size_t i = 0; i < size; ++i) sum += std::exp(static_cast<double>(logits[i]));
  STRATA_CHECK(std::abs(out[0] - std::log(sum)) < 1e-6, "{} instead of {}", out[0], std::log(sum));
  const auto bytes = std::as_bytes(std::span(logits));
  const Timing timing = time_in_turns(seconds, all, [&] { return read_once(bytes); });
  KernelFigure figure{fmt::format("log_sum_exp of {}", size), rows, Precision::f32};
  figure.by_bandwidth = true;
  figure.gb_per_second = 1e-9 * static_cast<double>(bytes.size()) / timing.seconds;
  figure.share = figure.gb_per_second / timing.peak;
  return figure;
}

}  // namespace strata::kernel
