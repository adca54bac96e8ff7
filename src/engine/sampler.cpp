// Sampling and the generation loops.
// Probabilities are accumulated in double, in the order of the ids.
#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/checked.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "core/threads.h"
#include "engine/modes.h"
#include "kernel/ops.h"

namespace strata::engine {
namespace {

constexpr std::size_t kPrefillRows = 512;
constexpr std::uint64_t kSeedStride = 0xD1342543DE82EF95u;  // between seeds, so that no two share the stream of a text

Token draw(std::span<const float> logits, std::span<const Token> ids, double temperature, float largest,
           Random& random) {
  std::vector<double> cumulative(ids.size());
  double total = 0;
  for (std::size_t i = 0; i < ids.size(); ++i)
    cumulative[i] = total += std::exp(static_cast<double>(logits[ids[i]] - largest) / temperature);
  const double point = random.uniform() * total;
  const auto it = std::upper_bound(cumulative.begin(), cumulative.end(), point);
  return ids[std::min<std::size_t>(static_cast<std::size_t>(it - cumulative.begin()), ids.size() - 1)];
}

/// Draws a token of the whole vocabulary by its probability: first a stretch of ids by the stretches' sums, then an id
/// within the stretch, so that only one stretch needs scalar exponentials.
Token draw_any(std::span<const float> logits, double temperature, float largest, Random& random) {
  constexpr std::size_t stretch = 512;
  std::vector<float> scaled(logits.size());
  const auto inverse = static_cast<float>(1.0 / temperature);
  for (std::size_t i = 0; i < logits.size(); ++i) scaled[i] = (logits[i] - largest) * inverse;
  std::vector<double> cumulative;
  double total = 0;
  for (std::size_t at = 0; at < scaled.size(); at += stretch) {
    total += std::exp(kernel::log_sum_exp(scaled.data() + at, std::min(stretch, scaled.size() - at)));
    cumulative.push_back(total);
  }
  const double point = random.uniform() * total;
  const auto found =
      static_cast<std::size_t>(std::upper_bound(cumulative.begin(), cumulative.end(), point) - cumulative.begin());
  const std::size_t chosen = std::min(found, cumulative.size() - 1), first = chosen * stretch;
  const std::size_t end = std::min(first + stretch, scaled.size());
  double sum = chosen == 0 ? 0.0 : cumulative[chosen - 1];
  for (std::size_t i = first; i < end; ++i)
    if ((sum += std::exp(static_cast<double>(scaled[i]))) > point) return static_cast<Token>(i);
  return static_cast<Token>(end - 1);
}

/// Keeps the most likely tokens that together have at least the probability top_p.
void keep_top(std::span<const float> logits, std::vector<Token>& ids, double top_p, double temperature, float largest) {
  std::stable_sort(ids.begin(), ids.end(), [&](Token a, Token b) { return logits[a] > logits[b]; });
  double total = 0;
  for (const Token id : ids) total += std::exp(static_cast<double>(logits[id] - largest) / temperature);
  double sum = 0;
  std::size_t kept = 0;
  while (kept < ids.size() && sum < top_p * total)
    sum += std::exp(static_cast<double>(logits[ids[kept++]] - largest) / temperature);
  ids.resize(std::max<std::size_t>(kept, 1));
}

/// The first of the largest logits. Maxima of stretches are several at a time, where std::max_element waits for each
/// comparison: a vocabulary would take as long as some products.
std::span<const float>::iterator first_of_largest(std::span<const float> logits) {
  constexpr std::size_t kLanes = 16, kStretch = 1024;
  std::size_t first = 0;
  float largest = logits.front();
  if (std::isnan(largest)) return logits.begin();  // no other one is larger
  for (std::size_t at = 0; at < logits.size(); at += kStretch) {
    const std::span<const float> stretch = logits.subspan(at, std::min(kStretch, logits.size() - at));
    float most[kLanes];
    std::fill_n(most, kLanes, largest);
    for (std::size_t i = 0; i + kLanes <= stretch.size(); i += kLanes)
      for (std::size_t j = 0; j < kLanes; ++j) most[j] = most[j] < stretch[i + j] ? stretch[i + j] : most[j];
    for (std::size_t i = stretch.size() / kLanes * kLanes; i < stretch.size(); ++i)
      most[0] = most[0] < stretch[i] ? stretch[i] : most[0];
    const float here = *std::max_element(most, most + kLanes);
    if (largest < here) first = at, largest = here;
  }
  return std::find(logits.begin() + static_cast<std::ptrdiff_t>(first), logits.end(), largest);
}

}  // namespace

Token sample(std::span<const float> logits, const Sampling& sampling, Random& random) {
  const auto best = first_of_largest(logits);
  if (!std::isfinite(*best)) fail("the model's output is not finite; its weights are damaged");
  if (sampling.temperature <= 0) return static_cast<Token>(best - logits.begin());
  if (sampling.top_p >= 1.0) return draw_any(logits, sampling.temperature, *best, random);
  std::vector<Token> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0u);
  keep_top(logits, ids, sampling.top_p, sampling.temperature, *best);
  return draw(logits, ids, sampling.temperature, *best, random);
}

std::vector<Token> generate(Engine& engine, std::span<const Token> prompt, std::size_t count, const Sampling& sampling,
                            std::span<const Token> stop, const std::function<bool(Token)>& emit, DType kept) {
  if (prompt.empty()) fail("the prompt is empty");
  const model::Architecture& a = engine.architecture();
  KvCache cache(a.blocks, kept);
  const InBytes rounding(engine, cache.is_short());
  Random random(sampling.seed);
  std::vector<float> logits(a.vocab);
  std::vector<Token> result;
  std::vector<float> h;
  std::size_t last_rows = 0;
  for (std::size_t at = 0; at < prompt.size(); at += kPrefillRows) {
    check_interrupt();
    last_rows = std::min(kPrefillRows, prompt.size() - at);
    const Sequence sequence{last_rows, &cache};
    h = engine.forward(prompt.subspan(at, last_rows), {&sequence, 1});
  }
  while (result.size() < count) {
    check_interrupt();
    engine.logits(h.data() + (last_rows - 1) * a.hidden, 1, logits.data());
    const Token token = sample(logits, sampling, random);
    if (std::find(stop.begin(), stop.end(), token) != stop.end()) break;
    result.push_back(token);
    if (!emit(token) || result.size() == count) break;
    if (a.learned.positions != 0 && cache.positions >= a.learned.positions) break;
    const Sequence sequence{1, &cache};
    last_rows = 1;
    h = engine.forward({&token, 1}, {&sequence, 1});
  }
  return result;
}

std::uint64_t text_cache_bytes(const model::Architecture& a, std::size_t length) {
  std::uint64_t bytes = 0;
  for (std::size_t b = 0; b < a.blocks; ++b) {
    const bool is_short = a.attention[b].mixer == model::Mixer::attention;
    bytes += a.cache_size(b) * length * (is_short ? sizeof(bf16) : sizeof(float)) + a.state_size(b) * sizeof(float);
  }
  return bytes;
}

std::size_t texts_at_once(const model::Architecture& a, std::size_t samples, std::size_t length) {
  constexpr std::uint64_t most_at_once = 64, cache_bytes = 1u << 30;
  const std::uint64_t bytes = std::max<std::uint64_t>(1, text_cache_bytes(a, length));
  const auto most = static_cast<std::size_t>(std::clamp<std::uint64_t>(cache_bytes / bytes, 1, most_at_once));
  const std::size_t texts = std::max<std::size_t>(samples, 1);
  return ceil_div(texts, ceil_div(texts, most));
}

std::vector<std::vector<Token>> self_generate(Engine& engine, Token first, std::size_t samples, std::size_t length,
                                              std::uint64_t seed) {
  const model::Architecture& a = engine.architecture();
  const std::size_t at_once = texts_at_once(a, samples, length);
  std::vector<std::vector<Token>> texts(samples, std::vector<Token>{first});
  Progress progress("writing calibration text", ceil_div(samples, at_once) * length);
  for (std::size_t begin = 0; begin < samples; begin += at_once) {
    const std::size_t count = std::min(at_once, samples - begin);
    std::vector<KvCache> caches(count, KvCache(a.blocks, DType::bf16));
    std::vector<Random> random;
    std::vector<Sequence> sequences;
    for (std::size_t i = 0; i < count; ++i) {
      random.emplace_back(seed * kSeedStride + begin + i);
      sequences.push_back({1, &caches[i]});
    }
    std::vector<Token> last(count, first);
    std::vector<float> logits(count * a.vocab);
    for (std::size_t step = 1; step < length; ++step) {
      progress.advance();
      const std::vector<float> h = engine.forward(last, sequences);
      engine.logits(h.data(), count, logits.data());
      parallel_for(count, [&](std::size_t i) {
        last[i] = sample(std::span(logits).subspan(i * a.vocab, a.vocab), {.temperature = 1.0}, random[i]);
        texts[begin + i].push_back(last[i]);
      });
    }
  }
  return texts;
}

}  // namespace strata::engine
