// Block-major: the weights of a block are read once, whatever the number of sequences.
// A batch is as large as makes products fast and keeps the engine's buffers small.
#include "importance/pass.h"

#include <algorithm>
#include <cmath>

#include "core/checked.h"
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

std::size_t parts_of(std::size_t sequences, std::size_t most) { return std::min(sequences, most); }

Ranks ranks_of_pass(const Ranks& ranks, const CalibrationSet& set) {
  return set.source.seq_len > kernel::kFewTokens ? ranks : Ranks();
}

std::vector<std::size_t> sequences_of_ranks(const Ranks& ranks, std::size_t sequences) {
  const std::size_t parts = parts_of(sequences);
  std::vector<std::size_t> begins = ranks.shares(parts);
  for (std::size_t& begin : begins) begin = ceil_div(begin * sequences, parts);
  return begins;
}

void run_calibration(engine::Engine& engine, const CalibrationSet& set, std::span<const PassObserver> observers,
                     const BlockDone& done, const PassExpertObserver& experts, PassState& state, const Ranks& ranks) {
  const model::Architecture& a = engine.architecture();
  const std::size_t all = set.sequences.size(), seq_len = set.source.seq_len;
  const std::vector<std::size_t> begins = sequences_of_ranks(ranks, all);
  const auto own =
      std::span(set.sequences).subspan(begins[ranks.rank()], begins[ranks.rank() + 1] - begins[ranks.rank()]);
  const std::size_t count = own.size();
  if (state.blocks == a.blocks) return;
  std::vector<float>& h = state.hidden;
  if (state.blocks == 0) {
    h.resize(count * seq_len * a.hidden);
    state.shared.resize(count * seq_len * a.shared_size);
    for (std::size_t s = 0; s < count; ++s) engine.embed(own[s], h.data() + s * seq_len * a.hidden);
  }

  const std::size_t per_batch = std::clamp<std::size_t>(count, 1, sequences_per_batch(a, seq_len));
  const auto batch_of = [&](std::size_t sequences) {
    return engine.make_batch(std::vector<engine::Sequence>(sequences, engine::Sequence{seq_len}));
  };
  engine::Batch full = batch_of(per_batch), last = batch_of(count % per_batch);
  std::size_t batch_first = 0;
  const engine::ExpertWatch watch{.show =
                                      [&](const engine::ExpertRows& rows) {
                                        experts({batch_first, all, seq_len, rows});
                                      },
                                  .feed_all = [](std::size_t, std::size_t routed) { return routed < kFewTokens; }};
  const engine::AlikeInBatches alike(engine);
  const engine::Watching watching(engine, experts && a.experts.count != 0 ? &watch : nullptr);
  // The output of no block shows damage to the last norm.
  if (std::ranges::any_of(engine.model().norm(model::Norm::last), [](float w) { return !std::isfinite(w); }))
    model::fail_not_finite(engine.model(), "what lm_head reads is not finite", "its norm is damaged");
  Progress progress("calibrate", (a.blocks - state.blocks) * count);
  for (std::size_t block = state.blocks; block < a.blocks; ++block) {
    for (std::size_t first = 0; first < count; first += per_batch) {
      const std::size_t sequences = std::min(per_batch, count - first);
      batch_first = begins[ranks.rank()] + first;
      const engine::Observer observer = [&](engine::Site site, std::size_t b, const float* rows, std::size_t,
                                            std::size_t size) {
        for (const PassObserver& observe : observers)
          observe({site, b, batch_first, sequences, all, seq_len, rows, size});
      };
      float* states = h.data() + first * seq_len * a.hidden;
      engine::Batch& batch = sequences == per_batch ? full : last;
      batch.set_ids(own.subspan(first, sequences));
      batch.shared = state.shared.data() + first * seq_len * a.shared_size;
      engine.run_block(block, batch, states, &observer);
      for (std::size_t i = 0; i < sequences * seq_len * a.hidden; ++i)
        if (!std::isfinite(states[i]))
          model::fail_not_finite(
              engine.model(),
              fmt::format("the output of block {} is not finite for token {} of calibration sequence {}", block,
                          i / a.hidden % seq_len, batch_first + i / a.hidden / seq_len),
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
