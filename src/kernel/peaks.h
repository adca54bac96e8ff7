// The most that this machine can do, measured, and how much of it the kernels reach.
// Every answer is checked before its clock starts. Figures are the best of short runs on all threads, because another
// process can only make a run slower.
#pragma once
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kernel/matmul.h"

namespace strata::kernel {

struct MachinePeaks {
  double f32_gflops = 0;          ///< fused multiply-adds on registers, 2 operations a lane
  double bf16_gflops = 0;         ///< bf16 dot products, or the f32 peak where there are none
  double read_gb_per_second = 0;  ///< sums over a buffer far larger than the caches
  double copy_gb_per_second = 0;  ///< memcpy of such a buffer: bytes copied, each read once and written once
};

/// Takes about `seconds` in all; about 0.5 GB of memory, less where the machine has less than 4 GB.
MachinePeaks measure_peaks(double seconds);

struct MatmulShape {
  const char* model;
  std::size_t rows, cols;
};
/// The linears of SmolLM2-135M and of Llama 3 8B.
std::span<const MatmulShape> model_shapes();

/// The speed of one kernel, best of its runs, with the best of the peak measured between them.
struct KernelFigure {
  std::string name;  ///< "SmolLM2 576x576"
  std::size_t tokens = 0;
  Precision precision = Precision::f32;
  double gflops = 0;
  double gb_per_second = 0;  ///< bytes of weights or logits over time
  double share = 0;          ///< of the arithmetic peak, or of the read bandwidth where by_bandwidth
  bool by_bandwidth = false;
};

/// A product with bf16 weights, as in a checkpoint. Up to 8 tokens it is judged by bandwidth, and the weights come from
/// memory, not from a cache. Rows that would take more than an eighth of the machine's memory are left out.
KernelFigure measure_matmul(const MatmulShape& shape, std::size_t tokens, Precision precision, double seconds);

/// Any work that takes `operations` floating-point operations, as a share of the peak of its precision. The caller has
/// checked the work's answer.
KernelFigure measure_work(const std::string& name, std::size_t tokens, Precision precision, double operations,
                          const std::function<void()>& work, double seconds);

/// Any work that takes `operations` and reads `bytes`, as a share of the bandwidth of reading these. The caller has
/// checked the work's answer.
KernelFigure measure_reading(const std::string& name, std::size_t tokens, double operations,
                             std::span<const std::byte> bytes, const std::function<void()>& work, double seconds);

/// A product of a few tokens with as many rows of `cols` weights as 64 MiB hold in a codec, straight from their bytes.
KernelFigure measure_stored(const codec::Codec& codec, std::size_t cols, std::size_t tokens, double seconds);
/// The same of one token by multiply_in_bytes; no name where that has no kernel for the codec here.
KernelFigure measure_in_bytes(const codec::Codec& codec, std::size_t cols, double seconds);

/// Causal attention of one sequence from its start, as a share of the f32 peak (only what the mask leaves counts).
KernelFigure measure_attention(std::size_t tokens, std::size_t heads, std::size_t kv_heads, std::size_t head_dim,
                               double seconds);

/// The gated delta rule and the scan of Mamba-2 over one sequence from its start, as shares of the f32 peak.
KernelFigure measure_delta_rule(std::size_t tokens, std::size_t k_heads, std::size_t v_heads, std::size_t head_dim,
                                double seconds);
KernelFigure measure_state_space(std::size_t tokens, std::size_t heads, std::size_t groups, std::size_t head_dim,
                                 std::size_t state_dim, double seconds);

/// log_sum_exp of 512 rows of logits, all threads, as a share of the read bandwidth.
KernelFigure measure_log_sum_exp(std::size_t size, double seconds);

}  // namespace strata::kernel
