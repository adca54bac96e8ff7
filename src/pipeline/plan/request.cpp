// Requests as JSON for the plan file, and the little language of --levels.
// Thresholds are turned here, so that behind this point higher is always more important.
#include "pipeline/plan/request.h"

#include <charconv>
#include <cmath>

#include "importance/signal.h"

namespace strata::pipeline {

bool needs_linear_costs(const PlanRequest& request) { return request.preset == "best"; }
bool needs_block_signals(const PlanRequest& request) {
  return request.preset == "lwq" || request.preset == "three-tier";
}

const std::string& name_of(Method method) { return kMethodNames[static_cast<std::size_t>(method)]; }

Method method_named(const std::string& name) {
  for (const Method method : {Method::rtn, Method::gptq})
    if (name == name_of(method)) return method;
  fail_usage("method '{}' is not known; there are {}", name, fmt::join(kMethodNames, ", "));
}

json PlanRequest::to_json() const {
  json value = {{"preset", preset}};
  if (method != Method::rtn) value["method"] = name_of(method);
  if (bits) value["bits"] = *bits;
  if (size_bytes) value["size_bytes"] = *size_bytes;
  if (max_kl) value["max_kl"] = *max_kl;
  if (fit) value["fit"] = {{"bytes", fit->bytes}, {"context", fit->context}, {"batch", fit->batch}};
  if (!codecs.empty()) value["codecs"] = codecs;
  if (!keep.empty()) value["keep"] = keep;
  for (const auto& [expression, codec] : assign) value["assign"].push_back({expression, codec});
  for (const auto& [expression, codec] : at_least) value["at_least"].push_back({expression, codec});
  if (!prior.is_null()) value["prior"] = prior;
  if (!like.empty()) value["like"] = like;
  if (!embed_codec.empty()) value["embed_codec"] = embed_codec;
  if (needs_block_signals(*this)) value["signal"] = signal;
  if (preset != "lwq") return value;
  for (const Level& level : levels) {
    json entry = {{"codec", level.codec}};
    if (level.count) entry["count"] = *level.count;
    if (level.threshold) entry["threshold"] = *level.threshold;
    value["levels"].push_back(std::move(entry));
  }
  if (levels.empty()) {
    value["high"] = high;
    value["low"] = low;
    if (n_high) value["n_high"] = *n_high;
  }
  return value;
}

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
