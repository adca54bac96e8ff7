// Guards of the engine's modes that do more than set a pointer.
#include "engine/modes.h"

#include <algorithm>

#include "core/error.h"
#include "kernel/round_rows.h"

namespace strata::engine {

Recording::Recording(Engine& engine, Record* record) : engine_(engine) {
  engine_.record_ = record;
  if (record == nullptr) return;
  record->inputs.assign(engine.architecture().linears.size(), {});
  record->outputs.assign(engine.architecture().linears.size(), {});
}

namespace {

void to_fp8(float* rows, std::size_t tokens, std::size_t size, float scale) {
  kernel::round_rows({codec::ActivationRounding::Kind::e4m3_tensor, scale}, rows, tokens, size, rows);
}

}  // namespace

void CacheUse::take(std::size_t block, std::size_t tokens, std::size_t size, float* k, float* v) {
  model::CacheScales& own = scales[block];
  if (!rounds) {
    own.k = std::max(own.k, kernel::largest_magnitude(k, tokens * size));
    own.v = std::max(own.v, kernel::largest_magnitude(v, tokens * size));
  } else if (own.rounds()) {
    to_fp8(k, tokens, size, own.k);
    to_fp8(v, tokens, size, own.v);
  }
}

HoldingCache::HoldingCache(Engine& engine, CacheUse& use) : engine_(engine) {
  STRATA_CHECK(use.scales.size() == engine.architecture().blocks, "scales of {} blocks", use.scales.size());
  engine.cache_use_ = &use;
}

RoundingInputs::RoundingInputs(Engine& engine, const std::vector<codec::ActivationRounding>& rounding)
    : engine_(engine) {
  const std::size_t linears = engine.architecture().linears.size();
  STRATA_CHECK(rounding.empty() || rounding.size() == linears, "{} roundings, {} linears", rounding.size(), linears);
  STRATA_CHECK(engine.record_ == nullptr && engine.followed_ == nullptr);
  engine.rounding_ = rounding.empty() ? nullptr : &rounding;
  engine.rounded_for_ = model::kNoLinear;
}

void Replacing::set(std::size_t linear, kernel::Weights weights, codec::ActivationRounding reads) {
  engine_.replaced_[linear] = Replacement{weights, reads};
  linears_.insert(linear);
}

void Replacing::reset(std::size_t linear) {
  engine_.replaced_[linear].reset();
  linears_.erase(linear);
}

void Replacing::reset() {
  for (const std::size_t linear : linears_) engine_.replaced_[linear].reset();
  linears_.clear();
}

}  // namespace strata::engine
