// How long gptq takes on this machine, measured on a block of each kind and on slices of linears, as large as fits in
// the time.
// Work beyond what was measured is scaled by its number of operations.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "core/random.h"
#include "pipeline/job/methods.h"
#include "pipeline/job/model_bytes.h"
#include "pipeline/job/shared_work.h"
#include "quantize/scan.h"

namespace strata::pipeline {
namespace {

using engine::Half;
using engine::Site;

std::vector<float> random_rows(std::size_t count) {
  Random random(3);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(random.uniform()) - 0.5f;
  return values;
}

/// Rows and columns of a linear from its beginning.
MatrixView corner(MatrixView view, std::size_t rows, std::size_t cols) {
  view.rows = std::min(view.rows, rows);
  view.cols = std::min(view.cols, cols);
  return view;
}

/// Seconds a token of the two halves of a block: as a whole, and up to their second group of linears.
struct BlockSpeed {
  double attention = 0, to_o = 0, feed_forward = 0, to_down = 0;
};

BlockSpeed measure_block(const model::Model& model, std::size_t block, std::size_t sequences, std::size_t seq_len) {
  const model::Architecture& a = model.architecture();
  constexpr double operations = 2e11;  // a second or two
  const double per_token =
      2.0 * static_cast<double>(a.block_linear_weights()) / static_cast<double>(std::max<std::size_t>(a.blocks, 1));
  const auto fitting = static_cast<std::size_t>(operations / per_token);
  const std::size_t length = std::min(seq_len, std::max<std::size_t>(fitting, 128));
  const std::size_t some = std::clamp<std::size_t>(fitting / length, 1, sequences), tokens = some * length;
  engine::Engine engine(model, kernel::Precision::bf16, engine::Residency::one_block);
  engine::Batch batch = engine.make_batch(std::vector<engine::Sequence>(some, engine::Sequence{length}));
  batch.ids.resize(tokens);  // any will do
  std::vector<float> states = random_rows(tokens * a.hidden);
  engine::Batch touch = engine.make_batch(std::vector<engine::Sequence>(1, engine::Sequence{1}));
  touch.ids.resize(1);
  engine.run_block(block, touch, states.data());  // reads the weights
  BlockSpeed speed;
  const auto per = [&](double seconds) { return seconds / static_cast<double>(tokens); };
  const auto run = [&](Half half, Site last) {
    engine.run_half(half, block, batch, states.data(), states.data(), nullptr, last);
  };
  run(Half::attention, Site::attn_in);  // makes the buffers
  speed.attention = per(seconds_of([&] { run(Half::attention, Site::block_out); }));
  // A part takes no longer than the whole, whatever else the machine does while it is timed.
  speed.to_o = std::min(speed.attention, per(seconds_of([&] { run(Half::attention, Site::o_in); })));
  speed.feed_forward = per(seconds_of([&] { run(Half::feed_forward, Site::block_out); }));
  speed.to_down = std::min(speed.feed_forward, per(seconds_of([&] { run(Half::feed_forward, Site::down_in); })));
  for (const model::Linear& linear : a.block_linears(block)) model.release(linear.module + ".weight");
  return speed;
}

/// The speeds of all blocks; those with the same mixer and feed-forward part share one that is measured.
std::vector<BlockSpeed> measure_blocks(const model::Model& model, std::size_t sequences, std::size_t seq_len) {
  const model::Architecture& a = model.architecture();
  std::map<std::tuple<model::Mixer, bool, bool>, BlockSpeed> known;
  std::vector<BlockSpeed> speeds;
  for (std::size_t b = 0; b < a.blocks; ++b) {
    const auto [it, fresh] = known.try_emplace({a.attention[b].mixer, a.feeds(b), a.layout[b].mixture});
    if (fresh) it->second = measure_block(model, b, sequences, seq_len);
    speeds.push_back(it->second);
  }
  return speeds;
}

/// Sums of outer products and their factorization; beyond the largest size measured they grow with the operations.
class HessianSpeed {
 public:
  double sums(std::size_t size, double tokens) {
    const Measured& m = measured(size);
    const double ratio = static_cast<double>(size) / static_cast<double>(m.size);
    return m.sums * ratio * ratio * tokens;
  }
  double factors(std::size_t size) {
    const Measured& m = measured(size);
    const double ratio = static_cast<double>(size) / static_cast<double>(m.size);
    return m.factors * ratio * ratio * ratio;
  }

 private:
  struct Measured {
    std::size_t size;
    double sums, factors;
  };
  const Measured& measured(std::size_t size) {
    constexpr std::size_t largest = 2048, tokens = 2048;
    const std::size_t some = std::min(size, largest);
    if (const auto it = known_.find(some); it != known_.end()) return it->second;
    const std::vector<float> rows = random_rows(tokens * some);
    quantize::Hessian hessian(some);
    Measured m{some, 0, 0};
    hessian.add(rows.data(), 64, kernel::Precision::bf16);
    m.sums = seconds_of([&] { hessian.add(rows.data(), tokens, kernel::Precision::bf16); }) / tokens;
    m.factors = seconds_of([&] { quantize::factorize(hessian, 0.01); });
    return known_[some] = m;
  }
  std::map<std::size_t, Measured> known_;
};

/// Choosing the codes of a linear under a factorized Hessian: per row, a part that grows with the columns and one that
/// grows with their square, from two widths.
class RoundingSpeed {
 public:
  RoundingSpeed(const model::Model& model, const quantize::GptqOptions& options, codec::ScaleFit fit)
      : model_(model), options_(options), fit_(fit) {}

  double of(const model::Linear& linear, const codec::Codec& codec) {
    const bool tall = linear.rows >= 1024;
    const auto key = std::tuple{&codec, tall, std::min<std::size_t>(linear.cols, kWide)};
    auto [it, fresh] = known_.try_emplace(key);
    if (fresh) it->second = measure(linear, codec);
    const auto n = static_cast<double>(linear.cols);
    return static_cast<double>(linear.rows) * (it->second.linear * n + it->second.square * n * n);
  }

 private:
  static constexpr std::size_t kWide = 1024;
  struct Row {
    double linear = 0, square = 0;
  };

  double seconds_a_row(const model::Linear& linear, const codec::Codec& codec, std::size_t cols) {
    const std::size_t rows = std::min<std::size_t>(linear.rows, linear.rows >= 1024 ? 1024 : 256);
    const model::LinearWeights held = model_.weights(linear);
    const MatrixView part = corner(held.view().dense, rows, cols);
    const std::vector<float> inputs = random_rows(2 * cols * cols);
    quantize::Hessian hessian(cols);
    hessian.add(inputs.data(), 2 * cols, kernel::Precision::bf16);
    const float scale =
        codec::tensor_scale(codec, quantize::checked_absmax(part, model_.path().string(), linear.module + ".weight"));
    const double factors =
        seconds_of([&] { quantize::factorize(hessian, options_.damping.value_or(quantize::kDamping)); });
    const double all = seconds_of([&] { quantize::quantize_gptq(codec, part, hessian, options_, {scale, fit_}); });
    return std::max(all - factors, 0.0) / static_cast<double>(part.rows);
  }

  Row measure(const model::Linear& linear, const codec::Codec& codec) {
    const std::size_t wide = std::min<std::size_t>(linear.cols, kWide), narrow = wide / 2;
    const double at_wide = seconds_a_row(linear, codec, wide);
    const auto n = static_cast<double>(wide);
    if (wide == linear.cols || !codec::why_not(codec, linear.rows, narrow).empty()) return {at_wide / n, 0.0};
    const double at_narrow = seconds_a_row(linear, codec, narrow);
    // at_wide = a n + b n^2; at_narrow = a n / 2 + b n^2 / 4.
    const double square = std::clamp(2.0 * at_wide - 4.0 * at_narrow, 0.0, at_wide) / (n * n);
    return {at_wide / n - square * n, square};
  }

  const model::Model& model_;
  const quantize::GptqOptions& options_;
  codec::ScaleFit fit_;
  std::map<std::tuple<const codec::Codec*, bool, std::size_t>, Row> known_;
};

}  // namespace

double seconds_of_gptq(const PlannedJob& job, const Forecast& forecast) {
  const model::Architecture& a = job.model.architecture();
  const auto codecs = codecs_by_linear(job.prepared.plan.plan, a);
  const importance::TextSize text = rounding_text(job.request).size();
  const auto tokens = static_cast<double>(text.samples * text.seq_len);
  const std::vector<BlockSpeed> speeds =
      measure_blocks(job.model, Rounding::sequences_together(a, text.samples, text.seq_len), text.seq_len);
  const RoundingOptions& options = job.request.rounding;
  const bool original = options.asymmetric || options.tune.steps > 0;  // runs beside the rounded model
  HessianSpeed hessians;
  RoundingSpeed rows(job.model, options.gptq, job.request.scale_fit);
  const auto ranks = static_cast<double>(ranks_to_round(job.request).size());
  double seconds = 0, factors = 0;  // every rank factorizes what it rounds rows by; the rest is shared
  for (const BlockSpeed& speed : speeds) {
    const double block = speed.attention + speed.feed_forward;
    seconds += tokens * block * (original ? 2.0 : 1.0);
    // A step's three products for the forward pass's one; the tokens' weights and the held-out losses; and the half of
    // the block that runs again behind them.
    const auto learning = static_cast<double>(options.tune.steps * options.tune.batch_tokens);
    if (options.tune.steps > 0) seconds += (3.0 * learning + 2.0 * tokens) * block + tokens * speed.attention;
  }
  std::set<std::tuple<std::size_t, Site, std::size_t>> collected;
  for (std::size_t l = 0; l < codecs.size(); ++l) {
    const model::Linear& linear = a.linears[l];
    if (!codecs[l]->has_codes() || job.model.source_codec(l) == codecs[l]) continue;
    if (linear.role == model::Role::embed) continue;  // rounded to nearest
    (linear.routed() ? seconds : factors) += hessians.factors(linear.cols);
    seconds += rows.of(linear, *codecs[l]);
    const Site site = engine::input_site(linear.role);
    if (!collected.insert({linear.block, site, linear.expert}).second) continue;
    const double share =
        static_cast<double>(a.experts.used) / static_cast<double>(std::max<std::size_t>(a.experts.count, 1));
    seconds += hessians.sums(linear.cols, linear.routed() ? tokens * share : tokens);
    if (linear.routed()) continue;
    const BlockSpeed speed = linear.block < a.blocks ? speeds[linear.block] : BlockSpeed{};
    const bool ends_half = engine::ends_half(a, linear.block, site);
    if (options.asymmetric) {
      // The correction's moments are not symmetric, so cost twice as much; that of an output has as many rows as it.
      const double rows_of_moment = static_cast<double>(ends_half ? linear.rows : linear.cols);
      seconds += 2.0 * hessians.sums(linear.cols, tokens) * rows_of_moment / static_cast<double>(linear.cols);
      factors += hessians.factors(linear.cols);
    }
    if (site == Site::from_latent_in) seconds += tokens * speed.feed_forward;
    if (forecast.keeps_rows && !a.layout[std::min(linear.block, a.blocks - 1)].mixture) continue;
    if (site == Site::o_in) seconds += tokens * speed.to_o;
    if (site == Site::down_in) seconds += tokens * speed.to_down;
  }
  return seconds / ranks + factors;
}

}  // namespace strata::pipeline
