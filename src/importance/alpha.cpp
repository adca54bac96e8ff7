// One measurement a fusion group: its linears are rounded, the blocks from its own on are run again on the hidden
// states that the original left there, and the logits are compared.
#include "importance/alpha.h"

#include <algorithm>
#include <cmath>

#include "core/progress.h"
#include "core/threads.h"
#include "importance/weights.h"
#include "kernel/softmax.h"
#include "quantize/rtn.h"

namespace strata::importance {
namespace {

using engine::Engine;

/// About four bits, so that the error is well above rounding noise and still small; the first that fits.
const codec::Codec* reference_codec(const model::Architecture& a, const model::FusionGroup& group) {
  for (const char* name : {"nvfp4", "mxfp4", "int4_channel"}) {
    const codec::Codec& codec = codec::by_name(name);
    if (std::ranges::all_of(group.linears, [&](std::size_t l) {
          return codec::why_not(codec, a.linears[l].rows, a.linears[l].cols).empty();
        }))
      return &codec;
  }
  return nullptr;
}

/// The part of the calibration set that is measured on, with the original's hidden states before every block and its
/// logits.
class Original {
 public:
  Original(Engine& engine, const CalibrationSet& set, std::size_t tokens) : engine_(engine) {
    std::vector<engine::Token> ids;
    std::vector<engine::Sequence> sequences;
    for (const auto& sequence : set.sequences) {
      ids.insert(ids.end(), sequence.begin(), sequence.end());
      sequences.push_back({sequence.size()});
      if (ids.size() >= tokens) break;
    }
    batch_ = engine.make_batch(sequences);
    std::vector<float> h(ids.size() * engine.architecture().hidden);
    engine.embed(ids, h.data());
    for (std::size_t b = 0; b < engine.architecture().blocks; ++b) {
      before_.push_back(h);
      engine.run_block(b, batch_, h.data());
    }
    before_.push_back(std::move(h));
    logits_ = logits(before_.back());
    rows_ = softmax(logits_);
  }

  /// KL divergence at every position when the engine runs as it is now from `block` on (blocks: only the head).
  std::vector<double> divergence(std::size_t block) {
    std::vector<float> h = before_[block];
    for (std::size_t b = block; b < engine_.architecture().blocks; ++b) engine_.run_block(b, batch_, h.data());
    const std::vector<float> changed = logits(h);
    const std::vector<kernel::SoftmaxRow> rows = softmax(changed);
    const std::size_t vocab = engine_.architecture().vocab;
    std::vector<double> result(batch_.tokens);
    parallel_for(batch_.tokens, [&](std::size_t t) {
      result[t] =
          kernel::kl_divergence(logits_.data() + t * vocab, rows_[t], changed.data() + t * vocab, rows[t], vocab);
    });
    return result;
  }

 private:
  std::vector<float> logits(const std::vector<float>& h) {
    std::vector<float> out(batch_.tokens * engine_.architecture().vocab);
    engine_.logits(h.data(), batch_.tokens, out.data());
    return out;
  }
  std::vector<kernel::SoftmaxRow> softmax(const std::vector<float>& logits) const {
    const std::size_t vocab = engine_.architecture().vocab;
    std::vector<kernel::SoftmaxRow> rows(batch_.tokens);
    parallel_for(rows.size(), [&](std::size_t t) { rows[t] = kernel::softmax_row(logits.data() + t * vocab, vocab); });
    return rows;
  }

  Engine& engine_;
  engine::Batch batch_;
  std::vector<std::vector<float>> before_;
  std::vector<float> logits_;
  std::vector<kernel::SoftmaxRow> rows_;
};

/// A group's linears rounded by a codec, put into the engine while this lives.
class RoundedGroup {
 public:
  RoundedGroup(Engine& engine, const model::FusionGroup& group, const codec::Codec& codec,
               const InputMeanSquare& inputs)
      : engine_(engine), group_(group) {
    const model::Architecture& a = engine.architecture();
    std::vector<DenseLinear> dense;
    float absmax = 0;
    for (const std::size_t l : group.linears) {
      dense.emplace_back(engine.model(), a.linears[l]);
      absmax = std::max(absmax, dense.back().absmax());
    }
    const float tensor_scale = codec::tensor_scale(codec, absmax);
    stored_.reserve(group.linears.size());
    for (std::size_t i = 0; i < group.linears.size(); ++i) {
      const std::size_t l = group.linears[i];
      const std::vector<float> importance = inputs.of(a.linears[l]);
      const auto fit = codec::ScaleFit::search;
      relative_error_ += quantize::weighted_error(codec, dense[i].view(), importance, fit, tensor_scale).relative();
      stored_.push_back(quantize::quantize_rtn(codec, dense[i].view(), importance, fit, tensor_scale));
      engine.replace(l, {{}, &stored_.back()});
    }
  }
  ~RoundedGroup() {
    for (const std::size_t l : group_.linears) engine_.restore(l);
  }
  RoundedGroup(const RoundedGroup&) = delete;
  RoundedGroup& operator=(const RoundedGroup&) = delete;

  double relative_error() const { return relative_error_; }

 private:
  Engine& engine_;
  const model::FusionGroup& group_;
  std::vector<codec::Stored> stored_;
  double relative_error_ = 0;
};

}  // namespace

std::vector<Estimate> alpha(Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs) {
  const model::Architecture& a = engine.architecture();
  Original original(engine, set, kAlphaTokens);
  std::vector<Estimate> result(a.groups.size());
  std::size_t work = 0;
  for (const model::FusionGroup& group : a.groups) work += a.blocks + 1 - std::min(group.block, a.blocks);
  Progress progress("alpha", work);
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    const model::FusionGroup& group = a.groups[g];
    progress.note(group.name);
    const std::size_t first = std::min(group.block, a.blocks);
    if (const codec::Codec* codec = reference_codec(a, group)) {
      const RoundedGroup rounded(engine, group, *codec, inputs);
      if (rounded.relative_error() > 0) {
        std::vector<double> divergence = original.divergence(first);
        for (double& value : divergence) value /= rounded.relative_error();
        result[g] = estimate(divergence);
        // A group without influence leaves the rounding of the sums, which may fall below 0.
        result[g].mean = std::max(0.0, result[g].mean);
      }
    }
    progress.advance(a.blocks + 1 - first);
  }
  return result;
}

}  // namespace strata::importance
