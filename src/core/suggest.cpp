// Edit distance, and the names that it finds near enough to be meant.
#include "core/suggest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <tuple>

namespace strata {
namespace {

constexpr std::size_t kMostNames = 3;

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

}  // namespace

std::size_t edit_distance(std::string_view first, std::string_view second) {
  const std::string a = lower(first), b = lower(second);
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) now[j] = std::min(now[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, now);
  }
  return last[b.size()];
}

std::vector<std::string> nearest_names(std::string_view name, std::span<const std::string> known) {
  const std::size_t most = std::max<std::size_t>(1, name.size() / 3);
  const std::string begin = lower(name);
  std::vector<std::tuple<std::size_t, std::size_t>> near;  // distance, index
  for (std::size_t i = 0; i < known.size(); ++i) {
    const std::size_t distance = edit_distance(name, known[i]);
    const std::string other = lower(known[i]);
    const bool begins =
        (begin.size() >= 3 && other.starts_with(begin)) || (other.size() >= 4 && begin.starts_with(other));
    if (distance <= most || begins) near.emplace_back(begins ? std::min(distance, most) : distance, i);
  }
  std::ranges::sort(near);
  std::vector<std::string> names;
  for (const auto& [distance, i] : near)
    if (distance == std::get<0>(near.front()) && names.size() < kMostNames) names.push_back(known[i]);
  return names;
}

std::string did_you_mean(std::string_view name, std::span<const std::string> known) {
  const std::vector<std::string> names = nearest_names(name, known);
  return names.empty() ? "" : fmt::format(" (did you mean {}?)", fmt::join(names, " or "));
}

}  // namespace strata
