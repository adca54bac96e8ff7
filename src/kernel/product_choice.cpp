// A product that fits the caches of a core, so that the arithmetic and the packing of operands count and not memory.
#include "kernel/product_choice.h"

#include <algorithm>

#include "core/numbers.h"
#include "core/random.h"
#include "core/seconds.h"
#include "kernel/dispatch.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kTokens = 64, kRows = 256, kCols = 512;
constexpr double kClearly = 1.15;

std::vector<const Variant*> candidates() {
  std::vector<const Variant*> found;
  for (const Variant* variant : variants()) {
    if (variant->isa > selected_isa()) continue;
    if (found.empty() || (found.size() == 1 && &variant->rows == &found[0]->rows)) found.push_back(variant);
  }
  return found;
}

}  // namespace

std::vector<ProductSpeed> product_speeds(double seconds) {
  std::vector<float> x(kTokens * kCols), y(kTokens * kRows);
  std::vector<bf16> weights(kRows * kCols);
  Random random(1);
  for (float& value : x) value = static_cast<float>(random.normal());
  for (bf16& value : weights) value = to_bf16(static_cast<float>(random.normal()));
  const Weights w{MatrixView::dense(weights.data(), kRows, kCols, DType::bf16), nullptr};
  std::vector<ProductSpeed> speeds;
  for (const Variant* variant : candidates()) speeds.push_back({variant, 0.0});
  // In turns, and the best of each: another process can only make a run slower.
  const auto begin = std::chrono::steady_clock::now();
  for (int round = 0; round < 3 || seconds_since(begin) < seconds; ++round)
    for (ProductSpeed& speed : speeds) {
      const auto start = std::chrono::steady_clock::now();
      matmul(*speed.variant, x.data(), kCols, kTokens, w, y.data(), kRows, Precision::bf16);
      speed.gflops = std::max(speed.gflops, 2e-9 * kTokens * kRows * kCols / seconds_since(start));
    }
  return speeds;
}

const Variant& fastest(const std::vector<ProductSpeed>& speeds) {
  const auto most = std::ranges::max_element(speeds, {}, &ProductSpeed::gflops);
  return *(most->gflops > kClearly * speeds.front().gflops ? most->variant : speeds.front().variant);
}

}  // namespace strata::kernel
