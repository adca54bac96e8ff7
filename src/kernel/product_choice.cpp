// The tile of a product on panels that lie in the nearest cache, on this thread alone and by its own processor time, so
// that other work on the machine does not decide.
#include "kernel/product_choice.h"

#include <algorithm>
#include <ctime>

#include "core/checked.h"
#include "core/numbers.h"
#include "core/random.h"
#include "kernel/dispatch.h"
#include "kernel/in_use.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kDepth = 256, kTilesAtOnce = 64;
constexpr double kClearly = 1.15;

std::vector<const Variant*> candidates() {
  std::vector<const Variant*> found;
  for (const Variant* variant : variants()) {
    if (variant->isa > selected_isa()) continue;
    if (found.empty() || &variant->rows == &found[0]->rows) found.push_back(variant);
  }
  return found;
}

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Panels of one tile of a kernel, and the tile's product.
class Tile {
 public:
  explicit Tile(const MatmulKernel& kernel)
      : kernel_(kernel), y_(kernel.tile_tokens * kernel.tile_rows), units_(ceil_div(kDepth, kernel.unit)) {
    Random random(1);
    std::vector<float> x(kernel.tile_tokens * kDepth);
    std::vector<bf16> w(kernel.tile_rows * kDepth);
    for (float& value : x) value = static_cast<float>(random.normal());
    for (bf16& value : w) value = to_bf16(static_cast<float>(random.normal()));
    x_.resize(units_ * kernel.tile_tokens + kernel.lanes);
    w_.resize(units_ * kernel.tile_rows + kernel.lanes);
    kernel.pack_x(x.data(), kDepth, kernel.tile_tokens, kDepth, x_.data());
    kernel.pack_w(reinterpret_cast<const std::byte*>(w.data()), 2 * kDepth, DType::bf16, kernel.tile_rows, kDepth,
                  w_.data());
  }
  /// Operations a second.
  double speed() {
    const InUse in_use(kernel_);
    const double begin = processor_seconds();
    for (std::size_t i = 0; i < kTilesAtOnce; ++i)
      kernel_.tile(x_.data(), w_.data(), kernel_.tile_rows, units_, kernel_.tile_tokens, kernel_.tile_rows, y_.data(),
                   kernel_.tile_rows, Update::store);
    return 2.0 * static_cast<double>(kTilesAtOnce * kDepth * y_.size()) / (processor_seconds() - begin);
  }

 private:
  const MatmulKernel& kernel_;
  std::vector<float> x_, w_, y_;
  std::size_t units_;
};

}  // namespace

std::vector<ProductSpeed> product_speeds(double seconds) {
  std::vector<ProductSpeed> speeds;
  std::vector<Tile> tiles;
  for (const Variant* variant : candidates()) {
    speeds.push_back({variant, 0.0});
    tiles.emplace_back(variant->bf16);
  }
  const double begin = processor_seconds();
  for (int round = 0; round < 3 || processor_seconds() - begin < seconds; ++round)
    for (std::size_t i = 0; i < speeds.size(); ++i)
      speeds[i].gflops = std::max(speeds[i].gflops, 1e-9 * tiles[i].speed());
  return speeds;
}

const Variant& fastest(const std::vector<ProductSpeed>& speeds) {
  const double most = std::ranges::max(speeds, {}, &ProductSpeed::gflops).gflops;
  return *std::ranges::find_if(speeds, [&](const ProductSpeed& s) { return most <= kClearly * s.gflops; })->variant;
}

}  // namespace strata::kernel
