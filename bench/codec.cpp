// Times the encoding and decoding of every codec on one core, beside a memcpy of the same bf16 weights.
// Each benchmark first checks some rows against the codec's scalar specification.
#include "codec/codec.h"

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "core/numbers.h"
#include "core/random.h"

namespace {

using namespace strata;
using namespace strata::codec;

constexpr std::size_t kRows = 512, kCols = 4096;  // 4 MiB of bf16
constexpr std::size_t kPiece = 256;               // weights that a matrix product decodes at a time

struct Linear {
  std::vector<bf16> weights = std::vector<bf16>(kRows * kCols);
  std::vector<float> importance = std::vector<float>(kCols);
  float absmax = 0.0f;
  Linear() {
    Random random(1);
    for (bf16& w : weights) {
      w = to_bf16(static_cast<float>(0.02 * random.normal()));
      absmax = std::fmax(absmax, std::fabs(to_float(w)));
    }
    for (float& h : importance) h = static_cast<float>(std::exp(random.normal()));
  }
  MatrixView view() const { return MatrixView::dense(weights.data(), kRows, kCols, DType::bf16); }
};

const Linear& linear() {
  static const Linear one;
  return one;
}

void count_weights(benchmark::State& state) {
  const auto weights = static_cast<double>(state.iterations()) * static_cast<double>(kRows * kCols);
  state.counters["weights"] = benchmark::Counter(weights, benchmark::Counter::kIsRate);
  state.counters["bf16_bytes"] = benchmark::Counter(2 * weights, benchmark::Counter::kIsRate);
}

void copy(benchmark::State& state) {
  std::vector<bf16> out(kRows * kCols);
  for (auto _ : state) {
    std::memcpy(out.data(), linear().weights.data(), out.size() * sizeof(bf16));
    benchmark::ClobberMemory();
  }
  count_weights(state);
}

/// Checks that a row of `stored` decodes to the values of the codes that fit and round give.
void check_row(const Codec& codec, const Stored& stored, std::size_t row, ScaleFit fit, float scale) {
  std::vector<float> w(kCols), decoded(kCols), unpacked(kCols);
  read_row(linear().view(), row, 0, kCols, w.data());
  decode_row(stored, row, 0, kCols, decoded.data());
  codec.unpack(codec, stored, row, 0, kCols, unpacked.data());
  STRATA_CHECK(decoded == unpacked, "{} row {}", codec.name, row);
  const std::size_t size = codec.fit_size(kCols);
  std::vector<GroupParams> groups(codec.groups_per_row(size));
  for (std::size_t c = 0; c < kCols; c += size) {
    const std::span<const float> weights = std::span(w).subspan(c, size),
                                 h = std::span(linear().importance).subspan(c, size);
    if (codec.super_size != 0)
      codec.fit_super(codec, weights, h, fit, groups);
    else
      groups[0] = codec.fit(codec, weights, h, fit, scale);
    for (std::size_t i = 0; i < size; i += codec.vector_size) {
      const GroupParams& group = groups[codec.group_size == 0 ? 0 : i / codec.group_size];
      std::uint8_t codes[kMostVector];
      if (codec.vector_size == 1)
        codes[0] = codec.round(codec, weights[i], group);
      else
        codec.round_vector(codec, weights.data() + i, h.data() + i, group, codes);
      for (std::size_t k = 0; k < codec.vector_size; ++k)
        STRATA_CHECK(codec.value(codec, codes[k], group) == decoded[c + i + k], "{} row {} column {}", codec.name, row,
                     c + i + k);
    }
  }
}

void encode(benchmark::State& state, const Codec& codec, ScaleFit fit) {
  const float scale = tensor_scale(codec, linear().absmax);
  Stored out = allocate(codec, kRows, kCols);
  encode_rows(codec, linear().view(), linear().importance, fit, scale, 0, kRows, out);
  if (codec.has_codes())
    for (const std::size_t row : {std::size_t{0}, kRows - 1}) check_row(codec, out, row, fit, scale);
  for (auto _ : state)
    for (std::size_t row = 0; row < kRows; row += 32)
      encode_rows(codec, linear().view(), linear().importance, fit, scale, row, 32, out);
  count_weights(state);
}

void decode(benchmark::State& state, const Codec& codec) {
  const float scale = tensor_scale(codec, linear().absmax);
  Stored stored = allocate(codec, kRows, kCols);
  encode_rows(codec, linear().view(), {}, ScaleFit::minmax, scale, 0, kRows, stored);
  if (codec.has_codes()) check_row(codec, stored, 1, ScaleFit::minmax, scale);
  float out[kPiece];
  for (auto _ : state)
    for (std::size_t row = 0; row < kRows; ++row)
      for (std::size_t col = 0; col < kCols; col += kPiece) {
        decode_row(stored, row, col, kPiece, out);
        benchmark::DoNotOptimize(out);
      }
  count_weights(state);
}

}  // namespace

int main(int argc, char** argv) {
  using benchmark::RegisterBenchmark;
  RegisterBenchmark("memcpy", copy);
  for (const Codec& codec : all()) {
    RegisterBenchmark(("encode_minmax/" + codec.name).c_str(),
                      [&](benchmark::State& state) { encode(state, codec, ScaleFit::minmax); });
    if (codec.has_codes())
      RegisterBenchmark(("encode_search/" + codec.name).c_str(),
                        [&](benchmark::State& state) { encode(state, codec, ScaleFit::search); });
    RegisterBenchmark(("decode/" + codec.name).c_str(), [&](benchmark::State& state) { decode(state, codec); });
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
