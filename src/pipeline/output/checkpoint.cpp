// Sizes as users write them.
// Units of 1024 and of 1000 are told apart by the letter i.
#include "pipeline/output/checkpoint.h"

#include <cctype>
#include <map>

#include "core/error.h"

namespace strata::pipeline {

std::uint64_t parse_size(const std::string& text, const std::string& option) {
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
  std::size_t used = 0;
  double number = -1;
  try {
    number = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  std::string unit;
  for (const char c : text.substr(used))
    if (c != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto it = units.find(unit);
  if (used == 0 || it == units.end() || !(number > 0) || number * it->second >= 9e18)
    fail_usage("{}: '{}' is not a size; write for example 90MiB or 8GB", option, text);
  return static_cast<std::uint64_t>(number * it->second);
}

}  // namespace strata::pipeline
