// What this machine can do at most, measured, and how much of it the kernels reach.
// Every answer is checked before its clock starts. Figures are the best of short runs on all threads, because another
// process can only make a run slower.
#pragma once
#include <cstddef>
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

/// The speed of one product, with the peak that was measured between its runs.
struct KernelFigure {
  std::string name;  ///< "SmolLM2 576x576"
  std::size_t rows, cols, tokens;
  Precision precision;
  double gflops;
  double gb_per_second;  ///< bytes of weights over time
  double share;          ///< of the arithmetic peak, or of the read bandwidth for a few tokens
};

/// Weights are bf16, as in a checkpoint. Throws nothing; a wrong answer is a bug (STRATA_CHECK).
KernelFigure measure_matmul(const MatmulShape& shape, std::size_t tokens, Precision precision, double seconds);

/// Causal attention of one sequence from its start, as a share of the f32 peak.
KernelFigure measure_attention(std::size_t tokens, std::size_t heads, std::size_t kv_heads, std::size_t head_dim,
                               double seconds);

}  // namespace strata::kernel
