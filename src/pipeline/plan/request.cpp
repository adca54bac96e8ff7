// The little language of --levels.
// Thresholds are turned here, so that higher is always more important for whoever reads a Level.
#include "pipeline/plan/request.h"

#include <charconv>
#include <cmath>

#include "importance/signal.h"

namespace strata::pipeline {

namespace {

template <class T>
T number(const std::string& text, const std::string& part) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    fail_usage("--levels '{}': '{}' is not a number", part, text);
  if constexpr (std::is_floating_point_v<T>)
    if (!std::isfinite(value)) fail_usage("--levels '{}': '{}' is not finite", part, text);
  return value;
}

Level parse_level(const std::string& part, const std::string& signal) {
  const std::size_t at = part.find_first_of(":<>");
  Level level{part.substr(0, at)};
  if (at == std::string::npos) return level;
  if (part[at] == ':') {
    level.count = number<std::size_t>(part.substr(at + 1), part);
    return level;
  }
  const bool higher = importance::signal_by_name(signal).direction == importance::Direction::higher_is_important;
  if (part.compare(at, 2, higher ? ">=" : "<=") != 0)
    fail_usage("--levels '{}': with signal {}, write CODEC{}NUMBER (or CODEC:COUNT)", part, signal,
               higher ? ">=" : "<=");
  const double value = number<double>(part.substr(at + 2), part);
  level.threshold = higher ? value : -value;
  return level;
}

}  // namespace

std::vector<Level> parse_levels(const std::string& text, const std::string& signal) {
  std::vector<Level> levels;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    levels.push_back(parse_level(text.substr(at, end - at), signal));
    at = end + 1;
  }
  const bool counted = levels.front().count.has_value();
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const bool last = l + 1 == levels.size();
    if (levels[l].codec.empty()) fail_usage("--levels '{}': level {} has no codec", text, l + 1);
    if (last ? levels[l].count || levels[l].threshold : counted ? !levels[l].count : !levels[l].threshold)
      fail_usage(
          "--levels '{}': expected CODEC:COUNT,...,CODEC or CODEC>=NUMBER,...,CODEC: counts or thresholds, and none "
          "for the last level",
          text);
  }
  if (levels.size() < 2) fail_usage("--levels '{}': expected at least two levels; one is --preset uniform:CODEC", text);
  return levels;
}

}  // namespace strata::pipeline
