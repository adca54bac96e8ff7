// Sums of squares by column: 8 tokens in f32, sequences in double, always in the order of the calibration set.
// Threads share the columns, so that no sum is split between them.
#include "importance/linear_inputs.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "core/checked.h"
#include "core/threads.h"
#include "engine/norms.h"
#include "importance/kept_pass.h"
#include "kernel/round_rows.h"

namespace strata::importance {
namespace {

using engine::Site;

constexpr std::size_t kSites = engine::kLinearSites.size(),
                      kHead = kSites;       // lm_head's input comes after those of a block
constexpr std::size_t kPieceColumns = 128;  // columns of a piece of work
constexpr std::size_t kTokens = 8;          // squares added in f32: relative error below 5e-7

std::size_t site_index(Site site) {
  return static_cast<std::size_t>(std::ranges::find(engine::kLinearSites, site) - engine::kLinearSites.begin());
}

/// sums[c] += sum over tokens of x[t, c]^2, c < count.
void add_squares(const float* x, std::size_t stride, std::size_t tokens, std::size_t count, double* sums) {
  float partial[kPieceColumns];
  for (std::size_t t = 0; t < tokens; t += kTokens) {
    std::fill_n(partial, count, 0.0f);
    for (std::size_t k = t; k < std::min(tokens, t + kTokens); ++k)
      for (std::size_t c = 0; c < count; ++c) partial[c] += x[k * stride + c] * x[k * stride + c];
    for (std::size_t c = 0; c < count; ++c) sums[c] += static_cast<double>(partial[c]);
  }
}

std::size_t site_of(const model::Architecture& a, const model::Linear& linear) {
  const bool head = linear.role == model::Role::lm_head || linear.role == model::Role::embed;
  return head ? kHead : site_index(engine::input_site(a, linear));
}

/// Where the sums of a linear's inputs are.
std::size_t place_of(const model::Architecture& a, const model::Linear& linear) {
  const std::size_t site = site_of(a, linear);
  return site == kHead ? a.blocks * kSites : linear.block * kSites + site;
}

/// An embedding that is no head is only looked up: every column counts alike.
bool only_looked_up(const model::Linear& linear, const model::Architecture& a) {
  return linear.role == model::Role::embed && !a.tied;
}

/// How many sites the block with most of them has; at least those of attention and a feed-forward part.
std::size_t most_sites(const model::Architecture& a) {
  std::size_t most = 4;
  for (std::size_t b = 0; b < a.blocks; ++b) {
    std::set<Site> sites;
    for (const model::Linear& linear : a.block_linears(b))
      if (!linear.routed()) sites.insert(engine::input_site(a, linear));
    most = std::max(most, sites.size());
  }
  return most;
}

std::size_t total(const std::vector<std::size_t>& parts) {
  return std::accumulate(parts.begin(), parts.end(), std::size_t{0});
}

/// Calls body(part, first sequence, sequences) for the stretches of `rows` that are of one part each; sequences are
/// counted within rows.
template <class Body>
void for_each_part(const SiteRows& rows, std::size_t parts, const Body& body) {
  const auto part_of = [&](std::size_t s) { return (rows.first_sequence + s) * parts / rows.all_sequences; };
  for (std::size_t s = 0, end; s < rows.sequences; s = end) {
    end = s + 1;
    while (end < rows.sequences && part_of(end) == part_of(s)) ++end;
    body(part_of(s), s, end - s);
  }
}

}  // namespace

HeadInput::HeadInput(const model::Model& model) : architecture_(model.architecture()) {
  if (!architecture_.tied || architecture_.embedding() != model::kNoLinear) final_norm_ = model.norm(model::Norm::last);
}

std::optional<SiteRows> HeadInput::of(const SiteRows& rows) {
  if (final_norm_.empty() || rows.site != Site::block_out || rows.block + 1 != architecture_.blocks)
    return std::nullopt;
  const std::size_t tokens = rows.sequences * rows.tokens;
  normed_.resize(tokens * rows.size);
  engine::norm_rows(architecture_, rows.rows, final_norm_.data(), tokens, normed_.data());
  SiteRows normed = rows;
  normed.rows = normed_.data();
  return normed;
}

InputMeanSquare::InputMeanSquare(const model::Model& model)
    : architecture_(model.architecture()),
      head_(model),
      sums_(architecture_.blocks * kSites + 1),
      largest_(sums_.size(), 0.0f) {
  for (const model::BlockLinears& block : architecture_.layout)
    experts_.emplace_back(block.mixture ? architecture_.experts.count : 0);
}

std::pair<const InputMeanSquare::Sums*, const std::vector<std::size_t>*> InputMeanSquare::sums(
    const model::Linear& linear) const {
  const Sums* sums = &sums_[place_of(architecture_, linear)];
  const std::vector<std::size_t>* tokens = &tokens_;
  if (linear.routed()) {
    const ExpertSums& expert = experts_[linear.block][linear.expert];
    const bool few = total(expert.routed) < kFewTokens, down = linear.role == model::Role::down;
    if (few && down) sums = &expert.all_down_in;
    if (!few) {
      sums = down ? &expert.down_in : &expert.mlp_in;
      tokens = &expert.routed;
    }
  }
  STRATA_CHECK(!sums->empty() && (*sums)[0].size() == linear.cols, "{}: no sums", linear.module);
  return {sums, tokens};
}

void InputMeanSquare::observe_expert(const PassExpertRows& pass) {
  const engine::ExpertRows& rows = pass.rows;
  ExpertSums& expert = experts_[rows.block][rows.expert];
  const bool down = rows.site == Site::down_in;
  if (!rows.routed && !down) return;  // what all tokens would give it is seen at a site of the block
  if (rows.routed) {
    float& most = largest_[rows.block * kSites + site_index(rows.site)];
    most = std::max(most, kernel::largest_magnitude(rows.rows, rows.tokens.size() * rows.size));
  }
  const std::size_t parts = parts_of(pass.all_sequences);
  const auto part_of = [&](std::size_t row) {
    return (pass.first_sequence + rows.tokens[row] / pass.tokens) * parts / pass.all_sequences;
  };
  expert.routed.resize(parts);
  if (rows.routed && !down)
    for (std::size_t t = 0; t < rows.tokens.size(); ++t) ++expert.routed[part_of(t)];
  Sums& sums = !rows.routed ? expert.all_down_in : down ? expert.down_in : expert.mlp_in;
  sums.resize(parts);
  for (auto& part : sums) part.resize(rows.size);
  parallel_for(ceil_div(rows.size, kPieceColumns), [&](std::size_t i) {
    const std::size_t first = i * kPieceColumns, count = std::min(kPieceColumns, rows.size - first);
    for (std::size_t t = 0, end = 0; t < rows.tokens.size(); t = end) {
      const std::size_t sequence = rows.tokens[t] / pass.tokens;
      while (end < rows.tokens.size() && rows.tokens[end] / pass.tokens == sequence) ++end;
      double of_sequence[kPieceColumns] = {};
      add_squares(rows.rows + t * rows.size + first, rows.size, end - t, count, of_sequence);
      for (std::size_t c = 0; c < count; ++c) sums[part_of(t)][first + c] += of_sequence[c];
    }
  });
}

std::vector<std::size_t> InputMeanSquare::routed(std::size_t block) const {
  std::vector<std::size_t> result;
  for (const ExpertSums& expert : experts_[block]) result.push_back(total(expert.routed));
  return result;
}

void InputMeanSquare::add(std::size_t place, const SiteRows& rows) {
  float& most = largest_[place];
  most = std::max(most, kernel::largest_magnitude(rows.rows, rows.sequences * rows.tokens * rows.size));
  Sums& sums = sums_[place];
  sums.resize(tokens_.size());
  for (auto& part : sums) part.resize(rows.size);
  parallel_for(ceil_div(rows.size, kPieceColumns), [&](std::size_t i) {
    const std::size_t first = i * kPieceColumns, count = std::min(kPieceColumns, rows.size - first);
    for_each_part(rows, tokens_.size(), [&](std::size_t part, std::size_t begin, std::size_t sequences) {
      for (std::size_t s = begin; s < begin + sequences; ++s) {
        double of_sequence[kPieceColumns] = {};
        add_squares(rows.of_sequence(s) + first, rows.size, rows.tokens, count, of_sequence);
        for (std::size_t c = 0; c < count; ++c) sums[part][first + c] += of_sequence[c];
      }
    });
  });
}

void InputMeanSquare::observe(const SiteRows& rows) {
  if (rows.site == Site::block_in && rows.block == 0) {
    tokens_.resize(parts_of(rows.all_sequences));
    for_each_part(rows, tokens_.size(), [&](std::size_t part, std::size_t, std::size_t sequences) {
      tokens_[part] += sequences * rows.tokens;
    });
  }
  if (site_index(rows.site) < kSites) add(rows.block * kSites + site_index(rows.site), rows);
  if (const std::optional<SiteRows> head = head_.of(rows)) add(sums_.size() - 1, *head);
}

codec::ActivationRounding InputMeanSquare::rounding(const model::Linear& linear,
                                                    codec::ActivationRounding::Kind kind) const {
  if (!codec::has_fixed_scale(kind)) return {kind, 1.0f};
  return {kind, codec::fixed_scale(kind, largest_[place_of(architecture_, linear)])};
}

std::size_t InputMeanSquare::tokens() const { return total(tokens_); }

std::vector<float> InputMeanSquare::of(const model::Linear& linear) const {
  if (only_looked_up(linear, architecture_)) return std::vector<float>(linear.cols, 1.0f);
  std::vector<float> result(linear.cols);
  const auto [of_parts, part_tokens] = sums(linear);
  const auto count = static_cast<double>(total(*part_tokens));
  for (std::size_t c = 0; c < linear.cols; ++c) {
    double sum = 0;
    for (const auto& part : *of_parts) sum += part[c];
    result[c] = static_cast<float>(sum / count);
    if (!std::isfinite(result[c]))
      fail("the mean square of input {} of {} is not finite; the model's activations are beyond the range of f32", c,
           linear.module);
  }
  return result;
}

std::vector<std::vector<double>> InputMeanSquare::parts(const model::Linear& linear) const {
  if (only_looked_up(linear, architecture_)) return std::vector(tokens_.size(), std::vector<double>(linear.cols, 1.0));
  const auto [of_parts, part_tokens] = sums(linear);
  std::vector<std::vector<double>> result = *of_parts;
  for (std::size_t part = 0; part < result.size(); ++part) {
    if ((*part_tokens)[part] == 0) {
      const std::vector<float> whole = of(linear);
      result[part].assign(whole.begin(), whole.end());
      continue;
    }
    for (double& value : result[part]) value /= static_cast<double>((*part_tokens)[part]);
  }
  return result;
}

void InputMeanSquare::share(const Ranks& ranks, std::size_t sequences, std::size_t block) {
  if (!ranks.many()) return;
  const std::size_t parts = parts_of(sequences);
  tokens_.resize(parts);
  ranks.share_all(std::span(tokens_));
  std::vector<Sums*> sums;
  for (std::size_t site = 0; site < kSites; ++site) sums.push_back(&sums_[block * kSites + site]);
  if (block + 1 == architecture_.blocks) sums.push_back(&sums_.back());
  ranks.share_largest(std::span(largest_).subspan(block * kSites, kSites));
  if (block + 1 == architecture_.blocks) ranks.share_largest(std::span(&largest_.back(), 1));
  for (ExpertSums& expert : experts_[block]) {
    expert.routed.resize(parts);
    ranks.share_all(std::span(expert.routed));
    sums.insert(sums.end(), {&expert.mlp_in, &expert.down_in, &expert.all_down_in});
  }
  for (Sums* const of : sums) {
    std::size_t size = of->empty() ? 0 : of->front().size();  // none where this rank has seen nothing
    ranks.share_largest(std::span(&size, 1));
    if (size == 0) continue;
    std::vector<double> values(parts * size);
    for (std::size_t part = 0; part < of->size(); ++part)
      std::ranges::copy((*of)[part], values.begin() + static_cast<std::ptrdiff_t>(part * size));
    ranks.share_all(std::span(values), size);
    of->resize(parts);
    for (std::size_t part = 0; part < parts; ++part) {
      const auto begin = values.begin() + static_cast<std::ptrdiff_t>(part * size);
      (*of)[part].assign(begin, begin + static_cast<std::ptrdiff_t>(size));
    }
  }
}

void visit(InputMeanSquare& inputs, Snapshot& snapshot) {
  snapshot(inputs.tokens_);
  snapshot(inputs.sums_);
  snapshot(inputs.largest_);
  snapshot(inputs.experts_);
}

namespace {

/// The pass that finds nothing but mean squares.
KeptPass kept_pass(const engine::Engine& engine, const CalibrationSet& set, InputMeanSquare& inputs, PassState& pass,
                   const std::filesystem::path& file, const Ranks& ranks) {
  return KeptPass(file, pass_job("mean squares of inputs", engine, set), pass,
                  [&](Snapshot& snapshot) { snapshot(inputs); }, {ranks, set.sequences.size()});
}

}  // namespace

InputMeanSquare input_mean_square(engine::Engine& engine, const CalibrationSet& set,
                                  const std::filesystem::path& file) {
  const Ranks ranks = ranks_of_pass(ranks_at_work(), set);
  InputMeanSquare inputs(engine.model());
  PassState pass;
  KeptPass kept = kept_pass(engine, set, inputs, pass, file, ranks);
  kept.read();
  const PassObserver observer = [&](const SiteRows& rows) { inputs.observe(rows); };
  const BlockDone done = [&](std::size_t block) {
    inputs.share(ranks, set.sequences.size(), block);
    if (pass.blocks == engine.architecture().blocks)
      kept.keep();
    else
      kept.keep_if_due();
  };
  run_calibration(
      engine, set, {&observer, 1}, done, [&](const PassExpertRows& rows) { inputs.observe_expert(rows); }, pass, ranks);
  return inputs;
}

void keep_input_mean_square(const engine::Engine& engine, const CalibrationSet& set, InputMeanSquare& inputs,
                            const std::filesystem::path& file) {
  PassState pass{engine.architecture().blocks, {}};
  kept_pass(engine, set, inputs, pass, file, Ranks()).keep();
}

void InputHessians::observe(const SiteRows& rows) {
  if (rows.site == Site::block_in && rows.first_sequence == 0) sites_.clear();
  if (const std::size_t site = site_index(rows.site); site < kSites) add(site, rows);
  if (const std::optional<SiteRows> head = head_.of(rows)) add(kHead, *head);
}

void InputHessians::add(std::size_t site, const SiteRows& rows) {
  std::vector<quantize::Hessian>& hessians = sites_[site];
  if (hessians.empty()) {
    const std::size_t bytes = rows.size * rows.size * sizeof(float);
    const std::size_t most = std::clamp<std::size_t>(kHessianBytes / most_sites(architecture_) / bytes, 2, kParts);
    for (std::size_t part = 0; part < parts_of(rows.all_sequences, most); ++part) hessians.emplace_back(rows.size);
  }
  for_each_part(rows, hessians.size(), [&](std::size_t part, std::size_t first, std::size_t sequences) {
    hessians[part].add(rows.of_sequence(first), sequences * rows.tokens, kernel::Precision::f32);
  });
}

std::span<const quantize::Hessian> InputHessians::of(const model::Linear& linear) const {
  if (only_looked_up(linear, architecture_) || linear.routed()) return {};
  const auto it = sites_.find(site_of(architecture_, linear));
  STRATA_CHECK(it != sites_.end(), "{}: no Hessian", linear.module);
  return it->second;
}

}  // namespace strata::importance
