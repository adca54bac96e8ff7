// Products by tiles: the emulation against the manual's words, the kernel bit for bit against its sums written out, in
// emulation everywhere and on the processor's tiles where there are any.
#include "kernel/simd_tiles.h"

#include <atomic>

#include "core/threads.h"
#include "kernel/emulated_tiles.h"
#include "kernel/in_use.h"

namespace strata::kernel {
namespace simd_tiles_test {

using Kernel = TileMatmulOf<EmulatedTiles, EmulatedPairs, EmulatedLoad<DType::f32>, EmulatedDots>;

float pair_of(float even, float odd) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(to_bf16(even).bits) |
                              static_cast<std::uint32_t>(to_bf16(odd).bits) << 16);
}

/// The sum that one product of tiles gives, with `before` in the tile of sums, where x and w have these pairs in their
/// first units and zeros in the others.
float one_sum(const std::vector<std::pair<float, float>>& x, const std::vector<std::pair<float, float>>& w,
              float before) {
  float a[256] = {}, b[256] = {}, c[256] = {};
  for (std::size_t k = 0; k < x.size(); ++k) {
    a[3 * 16 + k] = pair_of(x[k].first, x[k].second);
    b[k * 16 + 5] = pair_of(w[k].first, w[k].second);
  }
  c[3 * 16 + 5] = before;
  EmulatedTiles::configure(kFullTiles);
  EmulatedTiles::load<0>(c, 16);
  EmulatedTiles::load<4>(a, 16);
  EmulatedTiles::load<6>(b, 16);
  EmulatedTiles::multiply<0, 4, 6>();
  EmulatedTiles::store<0>(c, 16);
  EmulatedTiles::release();
  for (std::size_t i = 0; i < 256; ++i) EXPECT_TRUE(i == 53 || c[i] == 0.0f) << i;
  return c[53];
}

TEST(EmulatedTiles, AddUpAsTheManualSays) {
  EXPECT_EQ(one_sum({{2, 3}, {5, 7}}, {{11, 13}, {17, 19}}, 1), 1.0f + 22 + 39 + 85 + 133);
  // Even and odd elements have a sum each, which begins at zero; that of both is added to the tile last.
  EXPECT_EQ(one_sum({{0x1p24f, 1}, {-0x1p24f, 0}}, {{1, 1}, {1, 0}}, 0), 1.0f);
  EXPECT_EQ(one_sum({{0x1p24f, 0}, {1, 0}}, {{1, 0}, {1, 0}}, 0), 0x1p24f) << "a tie goes to even";
  EXPECT_EQ(one_sum({{1, 0}, {1, 0}}, {{1, 0}, {1, 0}}, 0x1p24f), 0x1p24f + 2) << "the tile's own sum comes last";
  // Products are not rounded before they are added.
  EXPECT_EQ(one_sum({{1.0f + 0x1p-7f, 0}, {0x1p20f, 0}}, {{-0x1p13f, 0}, {0x1p-7f, 0}}, 0), -64.0f);
}

TEST(EmulatedTiles, TakeSubnormalNumbersAsZero) {
  EXPECT_EQ(one_sum({{0x1p-127f, 0}}, {{0x1p100f, 0}}, 0), 0.0f);
  EXPECT_EQ(one_sum({{0x1p-100f, 0}}, {{0x1p-27f, 0}}, 0), 0.0f);
  EXPECT_EQ(one_sum({{0, 0}}, {{0, 0}}, 0x1p-127f), 0.0f);
  EXPECT_EQ(one_sum({{0x1p-100f, 0}}, {{0x1p-26f, 0}}, 0), 0x1p-126f);
}

TEST(EmulatedTiles, AreOnlyThoseThatAreConfigured) {
  float memory[256] = {};
  EXPECT_THROW(EmulatedTiles::load<0>(memory, 16), std::logic_error);
  TileConfig config = kFullTiles;
  config.rows[0] = 2;
  config.row_bytes[0] = 8;
  std::fill_n(memory, 256, 1.0f);
  EmulatedTiles::configure(config);
  EmulatedTiles::zero<0>();
  EmulatedTiles::store<0>(memory, 16);
  EXPECT_THROW((EmulatedTiles::multiply<0, 4, 6>()), std::logic_error);
  EmulatedTiles::release();
  for (std::size_t i = 0; i < 256; ++i) EXPECT_EQ(memory[i], i == 0 || i == 1 || i == 16 || i == 17 ? 0.0f : 1.0f) << i;
}

TEST(TileMatmul, PanelsLieAsTilesAreRead) {
  const std::vector<float> x = normal(40 * 80, 1);
  for (const auto& shape : {std::pair<std::size_t, std::size_t>{32, 64}, {5, 77}, {32, 3}, {17, 32}}) {
    const std::size_t tokens = shape.first, k = shape.second;
    std::vector<float> rows(40 * 32, 7.0f), columns(40 * 32, 7.0f), turned(80 * 40);
    for (std::size_t t = 0; t < 40; ++t)
      for (std::size_t c = 0; c < 80; ++c) turned[c * 40 + t] = x[t * 80 + c];
    Kernel::pack_x(x.data(), 80, tokens, k, rows.data());
    Kernel::pack_x_columns(turned.data(), 40, k, tokens, columns.data(), 32);
    const std::size_t units = (k + 1) / 2;
    for (std::size_t t = 0; t < 32; ++t)
      for (std::size_t u = 0; u < units; ++u) {
        const std::size_t first = u / 16 * 16, in_block = std::min<std::size_t>(16, units - first);
        const auto at = [&](std::size_t c) { return t < tokens && c < k ? x[t * 80 + c] : 0.0f; };
        const std::size_t place = first * 32 + t * in_block + u - first;
        const auto want = std::bit_cast<std::uint32_t>(pair_of(at(2 * u), at(2 * u + 1)));
        ASSERT_EQ(std::bit_cast<std::uint32_t>(rows[place]), want) << tokens << " " << k << " " << t << " " << u;
        ASSERT_EQ(std::bit_cast<std::uint32_t>(columns[place]), want) << tokens << " " << k << " " << t << " " << u;
      }
    for (std::size_t i = units * 32; i < rows.size(); ++i) ASSERT_TRUE(rows[i] == 7.0f && columns[i] == 7.0f) << i;
  }
}

/// y of the product of x (tokens, cols) and w (rows, cols), both in bf16 already: a sum of even and one of odd columns
/// over every 32 columns of a stretch, and over stretches of at most 768 that begin at a multiple of `stretch`.
std::vector<float> written_out(const std::vector<float>& x, std::size_t tokens, const std::vector<float>& w,
                               std::size_t rows, std::size_t cols, std::size_t stretch) {
  std::vector<float> y(tokens * rows);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t first = 0; first < cols; first += stretch) {
        const std::size_t end = std::min(cols, first + stretch);
        float sum = 0;
        for (std::size_t block = first; block < end; block += 32) {
          float halves[2] = {0, 0};
          for (std::size_t c = block; c < std::min(end, block + 32); ++c)
            halves[(c - block) % 2] = fused_flushed(x[t * cols + c], w[r * cols + c], halves[(c - block) % 2]);
          sum = add_flushed(sum, add_flushed(halves[0], halves[1]));
        }
        y[t * rows + r] = first == 0 ? sum : y[t * rows + r] + sum;
      }
  return y;
}

void expect_sums_written_out(const Variant& variant) {
  struct Shape {
    std::size_t tokens, rows, cols, stretch;
  };
  for (const Shape& shape : {Shape{32, 32, 32, 64}, Shape{33, 49, 95, 128}, Shape{17, 16, 1, 64},
                             Shape{70, 31, 770, 448}, Shape{47, 65, 1600, 576}}) {
    const auto& [tokens, rows, cols, stretch] = shape;
    std::vector<float> x = normal(tokens * cols, 1), w = normal(rows * cols, 2), y(tokens * rows);
    for (float& v : x) v = round_bf16(v);
    for (float& v : w) v = round_bf16(v);
    matmul(variant, x.data(), cols, tokens, {MatrixView::dense(w.data(), rows, cols, DType::f32), nullptr}, y.data(),
           rows, Precision::bf16);
    const std::vector<float> want = written_out(x, tokens, w, rows, cols, stretch);
    for (std::size_t i = 0; i < y.size(); ++i)
      ASSERT_EQ(y[i], want[i]) << variant.name << ": token " << i / rows << " row " << i % rows << " of " << tokens
                               << " x " << rows << " x " << cols;
  }
}

TEST(TileMatmul, SumsAreThoseOfTheManualInEmulation) { expect_sums_written_out(kEmulatedAmx); }

TEST(TileMatmul, SumsAreThoseOfTheManualOnTheProcessor) {
  if (!isa_runs_here(Isa::amx)) GTEST_SKIP() << "amx does not run on this CPU";
  for (const Variant* variant : variants())
    if (variant->isa == Isa::amx) return expect_sums_written_out(*variant);
  FAIL() << "amx runs here and no variant has it";
}

TEST(TileMatmul, ThreadsGiveTheirTilesBack) {
  const std::vector<float> x = normal(64 * 600, 1), w = normal(200 * 600, 2);
  std::vector<float> y(64 * 200), sums(200 * 200);
  set_thread_count(3);
  matmul(kEmulatedAmx, x.data(), 600, 64, {MatrixView::dense(w.data(), 200, 600, DType::f32), nullptr}, y.data(), 200,
         Precision::bf16);
  add_outer_products(kEmulatedAmx, w.data(), 200, w.data(), 200, 600, sums.data(), Part::lower, Precision::bf16);
  std::atomic<int> configured = 0;
  parallel_team([&](std::size_t, std::size_t) {
    if (EmulatedTiles::state().config.palette != 0) ++configured;
  });
  set_thread_count(0);
  EXPECT_EQ(configured, 0);
  EXPECT_THROW(kEmulatedBf16.tile(x.data(), w.data(), 32, 1, 1, 1, y.data(), 1, Update::store), std::logic_error);
}

TEST(TileMatmul, SpinSaysHowManyOperationsItDid) {
  const InUse in_use(kEmulatedBf16);
  EXPECT_EQ(kEmulatedBf16.spin(5), 2.0 * 4 * 2 * 16 * 16 * 32);
}

}  // namespace simd_tiles_test
}  // namespace strata::kernel
