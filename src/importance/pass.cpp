// Block-major: the weights of a block are read once, whatever the number of sequences.
// A batch is as large as makes products fast and keeps the engine's buffers small.
#include "importance/pass.h"

#include <algorithm>
#include <cmath>

#include "core/progress.h"
#include "engine/modes.h"
#include "model/damage.h"

namespace strata::importance {
namespace {

constexpr std::size_t kBatchBytes = 128u << 20;  // of activations inside the engine
constexpr std::size_t kBatchTokens = 4096;

std::size_t sequences_per_batch(const model::Architecture& a, std::size_t seq_len) {
  const std::size_t floats = a.activations_per_token();
  const std::size_t tokens = std::min(kBatchTokens, kBatchBytes / (floats * sizeof(float)));
  return std::max<std::size_t>(1, tokens / seq_len);
}

}  // namespace

void run_calibration(engine::Engine& engine, const CalibrationSet& set, std::span<const PassObserver> observers,
                     const BlockDone& done, const PassExpertObserver& experts, PassState& state) {
  const model::Architecture& a = engine.architecture();
  const std::size_t count = set.sequences.size(), seq_len = set.source.seq_len;
  if (state.blocks == a.blocks) return;
  std::vector<float>& h = state.hidden;
  if (state.blocks == 0) {
    h.resize(count * seq_len * a.hidden);
    state.shared.resize(count * seq_len * a.shared_size);
    for (std::size_t s = 0; s < count; ++s) engine.embed(set.sequences[s], h.data() + s * seq_len * a.hidden);
  }

  const std::size_t per_batch = std::min(count, sequences_per_batch(a, seq_len));
  const auto batch_of = [&](std::size_t sequences) {
    return engine.make_batch(std::vector<engine::Sequence>(sequences, engine::Sequence{seq_len}));
  };
  engine::Batch full = batch_of(per_batch), last = batch_of(count % per_batch);
  std::size_t batch_first = 0;
  const engine::ExpertWatch watch{.show =
                                      [&](const engine::ExpertRows& rows) {
                                        experts({batch_first, count, seq_len, rows});
                                      },
                                  .feed_all = [](std::size_t, std::size_t routed) { return routed < kFewTokens; }};
  const engine::Watching watching(engine, experts && a.experts.count != 0 ? &watch : nullptr);
  // The output of no block shows damage to the last norm.
  if (std::ranges::any_of(engine.model().norm(model::Norm::last), [](float w) { return !std::isfinite(w); }))
    model::fail_not_finite(engine.model(), "what lm_head reads is not finite", "its norm is damaged");
  Progress progress("calibrate", (a.blocks - state.blocks) * count);
  for (std::size_t block = state.blocks; block < a.blocks; ++block) {
    for (std::size_t first = 0; first < count; first += per_batch) {
      const std::size_t sequences = std::min(per_batch, count - first);
      batch_first = first;
      const engine::Observer observer = [&](engine::Site site, std::size_t b, const float* rows, std::size_t,
                                            std::size_t size) {
        for (const PassObserver& observe : observers) observe({site, b, first, sequences, count, seq_len, rows, size});
      };
      float* states = h.data() + first * seq_len * a.hidden;
      engine::Batch& batch = sequences == per_batch ? full : last;
      batch.set_ids(std::span(set.sequences).subspan(first, sequences));
      batch.shared = state.shared.data() + first * seq_len * a.shared_size;
      engine.run_block(block, batch, states, &observer);
      for (std::size_t i = 0; i < sequences * seq_len * a.hidden; ++i)
        if (!std::isfinite(states[i]))
          model::fail_not_finite(
              engine.model(),
              fmt::format("the output of block {} is not finite for token {} of calibration sequence {}", block,
                          i / a.hidden % seq_len, first + i / a.hidden / seq_len),
              "the weights are damaged or beyond the range of f32");
      progress.advance(sequences);
    }
    state.blocks = block + 1;
    if (state.blocks == a.blocks) h = {}, state.shared = {};
    if (done) done(block);
  }
}

void run_calibration(engine::Engine& engine, const CalibrationSet& set, std::span<const PassObserver> observers,
                     const BlockDone& done, const PassExpertObserver& experts) {
  PassState state;
  run_calibration(engine, set, observers, done, experts, state);
}

}  // namespace strata::importance
