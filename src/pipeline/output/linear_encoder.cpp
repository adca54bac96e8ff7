// The pages of the linear that comes next are read from the disk while the one at hand is encoded.
// Linears that come from elsewhere are copied, since they wait for the disk longer than their owner keeps them.
#include "pipeline/output/linear_encoder.h"

#include <algorithm>
#include <utility>

#include "quantize/rtn.h"

namespace strata::pipeline {
namespace {

/// All parts but the first.
std::shared_ptr<const codec::Stored> without_codes(const codec::Stored& stored) {
  auto rest = std::make_shared<codec::Stored>();
  rest->views.emplace_back();
  rest->parts.emplace_back();
  for (std::size_t i = 1; i < stored.views.size(); ++i) {
    rest->parts.emplace_back(stored.views[i].begin(), stored.views[i].end());
    rest->views.emplace_back(rest->parts.back());
  }
  return rest;
}

std::shared_ptr<const codec::Stored> copy_of(const codec::Stored& stored) {
  auto copy = std::make_shared<codec::Stored>(codec::allocate(*stored.codec, stored.rows, stored.cols));
  for (std::size_t i = 0; i < copy->parts.size(); ++i) std::ranges::copy(stored.views[i], copy->parts[i].begin());
  return copy;
}

}  // namespace

void LinearEncoder::part(std::span<const std::size_t> linears, std::size_t part,
                         const std::function<void(std::shared_ptr<const codec::Stored>)>& take) {
  for (const std::size_t l : linears) {
    const auto kept = kept_.find(l);
    const auto stored = part == 0 || kept == kept_.end() ? linear(l) : kept->second;
    take(stored);
    if (linears.size() == 1) continue;
    const std::size_t last = codecs_[l]->layout(*codecs_[l], 128, 128).size() - 1;
    if (part == 0 && last != 0) kept_[l] = without_codes(*stored);
    if (part == last) kept_.erase(l);
  }
}

std::shared_ptr<const codec::Stored> LinearEncoder::linear(std::size_t index) {
  if (current_ == index) return stored_;
  current_ = index;
  if (options_.stored) return stored_ = copy_of(options_.stored(index));
  const model::Architecture& a = model_.architecture();
  const model::Linear& linear = a.linears[index];
  const codec::Codec& codec = *codecs_[index];
  if (options_.of_others)
    if (auto stored = options_.of_others(index)) return stored_ = std::move(stored);
  const std::size_t next = options_.next ? options_.next(index) : index + 1;
  if (next < a.linears.size()) model_.will_need(a.linears[next].module + ".weight");
  if (model_.source_codec(index) == &codec) return stored_ = copy_of(model_.as_in_source(index));
  const model::LinearWeights weights = model_.weights(linear);
  const std::span<const float> importance =
      options_.importance.empty() ? std::span<const float>() : std::span<const float>(options_.importance[index]);
  const float scale = scales_.of(index, codec, weights.view().dense);
  stored_ = std::make_shared<codec::Stored>(
      quantize::quantize_rtn(codec, weights.view().dense, importance, options_.scale_fit, scale));
  model_.release(linear.module + ".weight");
  return stored_;
}

}  // namespace strata::pipeline
