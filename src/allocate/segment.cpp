// Dynamic programme over a core of groups, with dominance and bounds: Pisinger, "A minimal algorithm for the
// multiple-choice knapsack problem", EJOR 83 (1995), carried out for all budgets of a segment together.
//
// Let the segment's hull edge save S of cost for D of bytes. At the price S / D the base plan minimizes cost + price *
// bytes, so every exchange of a group's item has a loss = D * change of cost + S * change of bytes >= 0. Losses add
// up, and a plan with `bytes` above the base is short of the relaxed bound at budget s by its loss + S * (s - bytes).
// Groups enter in the order of their least loss: once that reaches the largest shortfall of the plans found, no
// further exchange can improve any budget of the segment, and the front is exact.
#include "allocate/segment.h"

#include <algorithm>
#include <limits>

namespace strata::allocate {
namespace {

/// The states and steps after which a search is cut off. Both bound time and memory only; what is lost shows in the
/// certified gap.
constexpr std::size_t kMostStates = 4096;
constexpr std::size_t kMostWork = 4'000'000;
/// A search also ends at a shortfall of this share of the cost: costs are estimates, known to a few per cent.
constexpr double kTolerance = 1e-5;

constexpr double kUnreachable = std::numeric_limits<double>::infinity();

struct Exchange {
  std::int64_t bytes = 0, cost = 0;  // differences from the base item
  Wide loss = 0;
  std::uint32_t item = 0;
};

struct CoreGroup {
  std::uint32_t group = 0;
  std::uint32_t begin = 0, end = 0;  // its exchanges, by rising bytes
  Wide least_loss = 0;
};

/// Differences from the base plan. The change is not yet a node while `item` is set.
struct State {
  std::int64_t bytes = 0, cost = 0;
  std::uint32_t node = 0;
  std::uint32_t item = 0;
  bool changed = false;
};

class Search {
 public:
  Search(const Problem& problem, std::span<const std::uint32_t> base, const Move& next, std::int64_t base_cost)
      : step_(next.bytes), saved_(next.saved), tolerated_(kTolerance * static_cast<double>(base_cost - next.saved)) {
    front_.points.push_back({});
    front_.nodes.push_back({});
    states_.push_back({});
    measure_shortfall();
    find_core(problem, base);
  }

  Front run() {
    std::size_t work = 0;
    bool whole = true;
    for (std::size_t k = 0; k < core_.size() && core_[k].least_loss < shortfall_; ++k) {
      if (good_enough() || work > kMostWork) {
        whole = false;
        break;
      }
      work += states_.size() * (1 + core_[k].end - core_[k].begin);
      enter(core_[k]);
      drop_hopeless(k + 1);
      if (states_.size() > kMostStates) {
        whole = false;
        thin();
      }
      settle(core_[k].group);
      merge_into_front();
      measure_shortfall();
    }
    front_.exact = whole;
    return std::move(front_);
  }

 private:
  Wide loss(std::int64_t bytes, std::int64_t cost) const {
    return static_cast<Wide>(cost) * step_ + static_cast<Wide>(saved_) * bytes;
  }
  bool good_enough() const { return static_cast<double>(shortfall_) <= tolerated_ * static_cast<double>(step_); }

  /// Shortfalls grow between two points of the front, so the largest lies just before a point or the segment's end.
  void measure_shortfall() {
    shortfall_ = 0;
    for (std::size_t p = 0; p < front_.points.size(); ++p) {
      const std::int64_t end = p + 1 < front_.points.size() ? front_.points[p + 1].bytes : step_;
      shortfall_ = std::max(shortfall_, loss(end - 1, front_.points[p].cost));
    }
  }

  void find_core(const Problem& problem, std::span<const std::uint32_t> base) {
    for (std::size_t g = 0; g < base.size(); ++g) {
      const Item& from = problem.items[base[g]];
      CoreGroup group{static_cast<std::uint32_t>(g), static_cast<std::uint32_t>(exchanges_.size()), 0, shortfall_};
      for (std::size_t i = problem.first[g]; i < problem.first[g + 1]; ++i) {
        const Item& to = problem.items[i];
        const Exchange exchange{to.bytes - from.bytes, to.cost - from.cost,
                                loss(to.bytes - from.bytes, to.cost - from.cost), static_cast<std::uint32_t>(i)};
        if (i == base[g] || exchange.loss >= shortfall_) continue;
        exchanges_.push_back(exchange);
        group.least_loss = std::min(group.least_loss, exchange.loss);
      }
      group.end = static_cast<std::uint32_t>(exchanges_.size());
      if (group.end > group.begin) core_.push_back(group);
    }
    std::sort(core_.begin(), core_.end(), [](const CoreGroup& a, const CoreGroup& b) {
      return a.least_loss != b.least_loss ? a.least_loss < b.least_loss : a.group < b.group;
    });
    measure_rates();
  }

  /// The least loss per byte at which the groups from k on can shrink or grow a plan.
  void measure_rates() {
    shrink_.assign(core_.size() + 1, kUnreachable);
    grow_.assign(core_.size() + 1, kUnreachable);
    for (std::size_t k = core_.size(); k-- > 0;) {
      shrink_[k] = shrink_[k + 1];
      grow_[k] = grow_[k + 1];
      for (std::uint32_t e = core_[k].begin; e < core_[k].end; ++e) {
        const Exchange& exchange = exchanges_[e];
        double& rate = exchange.bytes < 0 ? shrink_[k] : grow_[k];
        rate = std::min(rate, static_cast<double>(exchange.loss) / std::abs(static_cast<double>(exchange.bytes)));
      }
    }
  }

  /// Every state with every exchange of the group or none; undominated ones, by rising bytes and falling cost.
  void enter(const CoreGroup& group) {
    reached_ = states_;
    for (std::uint32_t e = group.begin; e < group.end; ++e) {
      const Exchange& exchange = exchanges_[e];
      shifted_.clear();
      for (const State& state : states_)
        shifted_.push_back({state.bytes + exchange.bytes, state.cost + exchange.cost, state.node, exchange.item, true});
      merge_undominated();
    }
    states_.swap(reached_);
  }

  /// reached_ becomes the undominated states of reached_ and shifted_. Of equals the one of reached_ stays.
  void merge_undominated() {
    merged_.clear();
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    std::size_t i = 0, j = 0;
    while (i < reached_.size() || j < shifted_.size()) {
      const bool old = j == shifted_.size() || (i < reached_.size() && (reached_[i].bytes != shifted_[j].bytes
                                                                            ? reached_[i].bytes < shifted_[j].bytes
                                                                            : reached_[i].cost <= shifted_[j].cost));
      const State& state = old ? reached_[i++] : shifted_[j++];
      if (state.cost >= least) continue;
      least = state.cost;
      merged_.push_back(state);
    }
    reached_.swap(merged_);
  }

  /// A state outside the segment has to pay its way back; one that then loses the largest shortfall improves nothing.
  void drop_hopeless(std::size_t next_core) {
    std::erase_if(states_, [&](const State& state) {
      const Wide lost = loss(state.bytes, state.cost);
      if (lost >= shortfall_) return true;
      const double back = state.bytes < 0        ? static_cast<double>(-state.bytes) * grow_[next_core]
                          : state.bytes >= step_ ? static_cast<double>(state.bytes - step_ + 1) * shrink_[next_core]
                                                 : 0.0;
      // The margin covers the roundings, so that no state which could still help is lost.
      return (static_cast<double>(lost) + back) * (1.0 - 0x1p-40) > static_cast<double>(shortfall_);
    });
  }

  /// Cuts the reach around the segment into kMostStates stretches of bytes and keeps the least loss of each.
  void thin() {
    const std::int64_t low = std::max(states_.front().bytes, -2 * step_);
    const std::int64_t high = std::min(states_.back().bytes, 3 * step_);
    const Wide width = std::max<Wide>(1, (static_cast<Wide>(high) - low) / static_cast<Wide>(kMostStates) + 1);
    std::size_t kept = 0;
    Wide last = -1;
    for (const State& state : states_) {
      if (state.bytes < low || state.bytes > high) continue;
      const Wide stretch = (static_cast<Wide>(state.bytes) - low) / width;
      if (stretch != last) {
        last = stretch;
        states_[kept++] = state;
      } else if (loss(state.bytes, state.cost) < loss(states_[kept - 1].bytes, states_[kept - 1].cost)) {
        states_[kept - 1] = state;
      }
    }
    states_.resize(kept);
  }

  void settle(std::uint32_t group) {
    for (State& state : states_) {
      if (!state.changed) continue;
      front_.nodes.push_back({state.node, group, state.item});
      state.node = static_cast<std::uint32_t>(front_.nodes.size() - 1);
      state.changed = false;
    }
  }

  void merge_into_front() {
    std::vector<FrontPoint> all;
    all.reserve(front_.points.size() + states_.size());
    for (const State& state : states_)
      if (state.bytes >= 0 && state.bytes < step_) all.push_back({state.bytes, state.cost, state.node});
    const auto middle = static_cast<std::ptrdiff_t>(all.size());
    all.insert(all.end(), front_.points.begin(), front_.points.end());
    std::inplace_merge(all.begin(), all.begin() + middle, all.end(), [](const FrontPoint& a, const FrontPoint& b) {
      if (a.bytes != b.bytes) return a.bytes < b.bytes;
      return a.cost != b.cost ? a.cost < b.cost : a.node < b.node;
    });
    front_.points.clear();
    for (const FrontPoint& point : all)
      if (front_.points.empty() || point.cost < front_.points.back().cost) front_.points.push_back(point);
  }

  std::int64_t step_, saved_;
  double tolerated_;
  Wide shortfall_ = 0;  // the largest over the segment's budgets, in units of a loss
  std::vector<Exchange> exchanges_;
  std::vector<CoreGroup> core_;
  std::vector<double> shrink_, grow_;
  std::vector<State> states_, reached_, shifted_, merged_;
  Front front_;
};

}  // namespace

Front explore(const Problem& problem, std::span<const std::uint32_t> base, const Move& next, std::int64_t base_cost) {
  return Search(problem, base, next, base_cost).run();
}

}  // namespace strata::allocate
