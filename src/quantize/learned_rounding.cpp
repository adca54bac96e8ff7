// Positions on the grid of scale 1: x = (w + min) / scale + zero_point, so that a scale moves without moving codes.
// Rows are independent, and the unit of parallel work.
#include "quantize/learned_rounding.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/threads.h"

namespace strata::quantize {
namespace {

constexpr float kInside = 0.98f;  // of the way to a code's border: where a start beyond it is put
constexpr float kMostOffset = 0.5f;
constexpr float kFirstDecay = 0.9f, kSecondDecay = 0.95f;  // a step, of the gradient's running mean and mean square
constexpr float kLeastFactor = 0.75f, kMostFactor = 1.3f;

/// The cell of a code: its value at scale 1, the borders to its neighbours, and the distance between them.
struct Cell {
  float level = 0.0f, low = 0.0f, high = 0.0f;
  float step() const { return high - low; }
};

/// The cells by code; codes that stand for no number have an empty one. Outermost cells are as wide outwards as
/// inwards.
std::vector<Cell> cells_of(const codec::Codec& codec) {
  const std::size_t codes = std::size_t{1} << codec.code_bits;
  std::vector<Cell> cells(codes);
  std::vector<float> levels;
  for (std::size_t c = 0; c < codes; ++c) {
    cells[c].level = codec.value(codec, static_cast<std::uint8_t>(c), {});
    if (std::isfinite(cells[c].level)) levels.push_back(cells[c].level);
  }
  std::ranges::sort(levels);
  levels.erase(std::unique(levels.begin(), levels.end()), levels.end());  // -0 and 0 are one level
  for (Cell& cell : cells) {
    if (!std::isfinite(cell.level)) continue;
    const auto at = std::ranges::lower_bound(levels, cell.level);
    const float own = *at;
    const float below = at == levels.begin() ? 0.0f : own - at[-1], above = at + 1 == levels.end() ? 0.0f : at[1] - own;
    cell.low = own - (below > 0.0f ? below : above) / 2.0f;
    cell.high = own + (above > 0.0f ? above : below) / 2.0f;
  }
  return cells;
}

float sign(float x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : 0.0f; }

}  // namespace

LearnedRounding::LearnedRounding(const codec::Codec& codec, std::size_t rows, std::size_t cols, float tensor_scale,
                                 Choice start)
    : codec_(codec),
      rows_(rows),
      cols_(cols),
      groups_per_row_(codec.groups_per_row(cols)),
      tensor_scale_(tensor_scale),
      scales_(codec, tensor_scale),
      start_(std::move(start.wanted)),
      offsets_(rows * cols, 0.0f),
      means_(rows * cols, 0.0f),
      moments_(start.groups.size()),
      start_codes_(start.codes),
      start_groups_(start.groups),
      groups_(start.groups),
      factors_(scales_.any() ? start.groups.size() : 0, 1.0f),
      kept_codes_(std::move(start.codes)),
      kept_groups_(std::move(start.groups)) {
  STRATA_CHECK(can_learn(codec) && start_.size() == rows * cols && start_codes_.size() == rows * cols &&
                   groups_.size() == rows * groups_per_row_,
               "{}: a choice of {} weights for {} x {}", codec.name, start_.size(), rows, cols);
  const std::vector<Cell> cells = cells_of(codec);
  for (const Cell& cell : cells) step_of_code_.push_back(cell.step());
  const std::size_t size = codec.group_size == 0 ? cols : codec.group_size;
  parallel_for(rows, [&](std::size_t r) {
    for (std::size_t c = 0; c < cols; ++c) {
      const std::size_t i = r * cols + c;
      const codec::GroupParams& group = groups_[r * groups_per_row_ + c / size];
      const Cell& cell = cells[start_codes_[i]];
      float x = group.scale == 0.0f ? cell.level : (start_[i] + group.min) / group.scale + group.zero_point;
      if (!std::isfinite(x)) x = cell.level;
      start_[i] = std::clamp(x, cell.level - kInside * (cell.level - cell.low),
                             cell.level + kInside * (cell.high - cell.level));
    }
  });
}

std::span<const codec::GroupParams> LearnedRounding::groups_of(std::size_t row) const {
  return std::span(groups_).subspan(row * groups_per_row_, groups_per_row_);
}

void LearnedRounding::wanted_row(std::size_t row, std::span<float> out) const {
  const std::size_t size = codec_.group_size == 0 ? cols_ : codec_.group_size;
  for (std::size_t g = 0; g < groups_per_row_; ++g) {
    const codec::GroupParams& group = groups_[row * groups_per_row_ + g];
    for (std::size_t c = g * size; c < std::min(cols_, (g + 1) * size); ++c) {
      const std::size_t i = row * cols_ + c;
      const float x = start_[i] + offsets_[i] * step_of_code_[start_codes_[i]];
      out[c] = (x - group.zero_point) * group.scale - group.min;
    }
  }
}

void LearnedRounding::decode(std::span<float> out) const {
  STRATA_CHECK(out.size() == rows_ * cols_);
  parallel_for(rows_, [&](std::size_t r) {
    const std::span<float> row = out.subspan(r * cols_, cols_);
    std::vector<float> wanted(cols_);
    wanted_row(r, wanted);
    codec::round_trip_row(codec_, wanted, {}, groups_of(r), row);
  });
}

void LearnedRounding::step(std::span<const float> gradient, std::span<const float> decoded, float offset_rate,
                           float scale_rate) {
  STRATA_CHECK(gradient.size() == rows_ * cols_ && decoded.size() == rows_ * cols_);
  ++steps_;
  const float first_share = 1.0f - std::pow(kFirstDecay, static_cast<float>(steps_)),
              second_share = 1.0f - std::pow(kSecondDecay, static_cast<float>(steps_));
  const std::size_t size = codec_.group_size == 0 ? cols_ : codec_.group_size;
  parallel_for(rows_, [&](std::size_t r) {
    for (std::size_t g = 0; g < groups_per_row_; ++g) {
      codec::GroupParams& group = groups_[r * groups_per_row_ + g];
      Moments& moments = moments_[r * groups_per_row_ + g];
      const std::size_t begin = r * cols_ + g * size, end = r * cols_ + std::min(cols_, (g + 1) * size);
      float squares = 0.0f, slope = 0.0f;  // by the offsets, by the scale's factor
      for (std::size_t i = begin; i < end; ++i) {
        squares += gradient[i] * gradient[i];
        slope += gradient[i] * (decoded[i] + group.min);
      }
      if (!std::isfinite(squares) || !std::isfinite(slope)) continue;
      for (std::size_t i = begin; i < end; ++i)
        means_[i] = kFirstDecay * means_[i] + (1.0f - kFirstDecay) * gradient[i];
      squares /= static_cast<float>(end - begin);
      moments.squares = kSecondDecay * moments.squares + (1.0f - kSecondDecay) * squares;
      moments.slope = kFirstDecay * moments.slope + (1.0f - kFirstDecay) * slope;
      moments.slope_squares = kSecondDecay * moments.slope_squares + (1.0f - kSecondDecay) * slope * slope;
      const float rms = std::sqrt(moments.squares / second_share);
      if (rms > 0.0f) {
        const float rate = offset_rate * sign(group.scale) / (first_share * rms);
        for (std::size_t i = begin; i < end; ++i)
          offsets_[i] = std::clamp(offsets_[i] - rate * means_[i], -kMostOffset, kMostOffset);
      }
      const float slope_rms = std::sqrt(moments.slope_squares / second_share);
      if (factors_.empty() || !(slope_rms > 0.0f)) continue;
      float& factor = factors_[r * groups_per_row_ + g];
      factor = std::clamp(factor - scale_rate * moments.slope / (first_share * slope_rms), kLeastFactor, kMostFactor);
      group.scale = scales_.storable(start_groups_[r * groups_per_row_ + g].scale * factor);
    }
  });
}

void LearnedRounding::keep() {
  const std::size_t size = codec_.group_size == 0 ? cols_ : codec_.group_size;
  kept_groups_ = groups_;
  parallel_for(rows_, [&](std::size_t r) {
    std::vector<float> wanted(cols_);
    wanted_row(r, wanted);
    for (std::size_t c = 0; c < cols_; ++c)
      kept_codes_[r * cols_ + c] = codec_.round(codec_, wanted[c], groups_[r * groups_per_row_ + c / size]);
  });
}

codec::Stored LearnedRounding::stored() const {
  codec::Stored out = codec::allocate(codec_, rows_, cols_);
  codec_.pack(codec_, out, 0, rows_, kept_codes_.data(), kept_groups_.data(), tensor_scale_);
  return out;
}

}  // namespace strata::quantize
