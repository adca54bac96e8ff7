// Numbers with units, both ways.
// A number that cannot be one is refused with an example of what can.
#include "core/units.h"

#include <array>
#include <cctype>
#include <cmath>
#include <map>

#include "core/error.h"

namespace strata {
namespace {

/// The number that a text begins with and what follows it; the whole text follows when there is none.
struct Quantity {
  double number = -1.0;
  std::string unit;
  bool has_number = false;
};

Quantity quantity_of(const std::string& text) {
  std::size_t used = 0;
  Quantity result;
  try {
    result.number = std::stod(text, &used);
    result.has_number = true;
  } catch (const std::exception&) {
    used = 0;
  }
  result.unit = text.substr(used);
  return result;
}

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> units = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < units.size(); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} bytes", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string human_seconds(double seconds) {
  const auto whole = static_cast<long>(seconds + 0.5);
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  if (whole < 100) return fmt::format("{} s", whole);
  if (whole < 6000) return fmt::format("{} min", (whole + 30) / 60);
  return fmt::format("{:.1f} h", seconds / 3600.0);
}

std::uint64_t parse_bytes(const std::string& text, const std::string& option) {
  static const std::map<std::string, double> units = {{"", 1},
                                                      {"b", 1},
                                                      {"kib", 1024.0},
                                                      {"mib", 1048576.0},
                                                      {"gib", 1073741824.0},
                                                      {"tib", 1099511627776.0},
                                                      {"k", 1024.0},
                                                      {"m", 1048576.0},
                                                      {"g", 1073741824.0},
                                                      {"kb", 1e3},
                                                      {"mb", 1e6},
                                                      {"gb", 1e9},
                                                      {"tb", 1e12}};
  const Quantity size = quantity_of(text);
  std::string unit;
  for (const char c : size.unit)
    if (c != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto it = units.find(unit);
  if (!size.has_number || it == units.end() || !(size.number > 0) || size.number * it->second >= 9e18)
    fail_usage("{}: '{}' is not a size; write for example 90MiB or 8GB", option, text);
  return static_cast<std::uint64_t>(size.number * it->second);
}

double parse_seconds(const std::string& text, const std::string& option) {
  const Quantity time = quantity_of(text);
  const double factor = time.unit.empty() || time.unit == "s" ? 1 : time.unit == "m" ? 60 : time.unit == "h" ? 3600 : 0;
  if (!time.has_number || factor == 0 || !std::isfinite(time.number) || time.number < 0)
    fail_usage("{} '{}': expected a time such as 60s, 5m or 0", option, text);
  return time.number * factor;
}

}  // namespace strata
