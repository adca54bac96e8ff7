// Random inputs; the answers are checked by tests/quantize against plain sums.
// The feedback's products are those of rounding_rows.cpp: stretches of rows in parallel, blocks of 128 columns.
#include "quantize/speed.h"

#include <algorithm>

#include "core/random.h"
#include "core/threads.h"
#include "quantize/hessian.h"

namespace strata::quantize {
namespace {

using kernel::KernelFigure;
using kernel::Precision;

std::vector<float> random_values(std::size_t count) {
  Random random(1);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(random.uniform()) - 0.5f;
  return values;
}

KernelFigure measure_sums(std::size_t size, Precision precision, double seconds) {
  constexpr std::size_t tokens = 4096;
  const std::vector<float> rows = random_values(tokens * size);
  Hessian hessian(size);
  return kernel::measure_work(
      fmt::format("Hessian of {}", size), tokens, precision,
      static_cast<double>(tokens) * static_cast<double>(size) * static_cast<double>(size + 1),
      [&] { hessian.add_lower(rows.data(), tokens, precision); }, seconds);
}

KernelFigure measure_factors(const Hessian& hessian, double seconds) {
  const auto n = static_cast<double>(hessian.size());
  return kernel::measure_work(
      fmt::format("factors of {}", hessian.size()), 0, Precision::f32, n * n * n / 3.0,
      [&] { factorize(hessian, 0.01); }, seconds);
}

KernelFigure measure_feedback(const Hessian& factor, double seconds) {
  constexpr std::size_t rows = 1024, stretch = 128, block = 128;
  const std::size_t n = factor.size();
  const std::vector<float> errors = random_values(rows * n);
  std::vector<float> wanted(rows * block);
  const auto work = [&] {
    parallel_for(rows / stretch, [&](std::size_t s) {
      for (std::size_t begin = block; begin < n; begin += block) {
        const MatrixView before = MatrixView::strided(factor.row(begin), std::min(block, n - begin), begin, n);
        kernel::matmul(errors.data() + s * stretch * n, n, stretch, {before, nullptr},
                       wanted.data() + s * stretch * block, block, Precision::f32);
      }
    });
  };
  return kernel::measure_work(fmt::format("feedback over {}", n), rows, Precision::f32,
                              static_cast<double>(rows) * static_cast<double>(n) * static_cast<double>(n), work,
                              seconds);
}

}  // namespace

std::vector<KernelFigure> measure_rounding(double seconds) {
  std::vector<KernelFigure> figures;
  for (const std::size_t size : {576, 1536, 4096})
    for (const Precision precision : {Precision::bf16, Precision::f32})
      figures.push_back(measure_sums(size, precision, seconds));
  for (const std::size_t size : {576, 1536, 4096}) {
    Hessian hessian(size);
    const std::vector<float> rows = random_values(2 * size * size);
    hessian.add(rows.data(), 2 * size, Precision::f32);
    figures.push_back(measure_factors(hessian, seconds));
    figures.push_back(measure_feedback(hessian, seconds));
  }
  return figures;
}

}  // namespace strata::quantize
