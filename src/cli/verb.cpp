// Output helpers of the verbs.
// Column widths count bytes; what is printed here is ASCII but for names from files.
#include "cli/verb.h"

#include <unistd.h>

#include <algorithm>

namespace strata::cli {

void print_json(const Common& common, const json& value) {
  if (common.json_output) fmt::print("{}\n", json_text(value, 2));
}

std::string by_rank() {
  if (all_ranks().is_first()) return {};
  char host[256] = "?";
  gethostname(host, sizeof host - 1);
  return fmt::format("rank {} on {}: ", all_ranks().rank(), host);
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> width;
  std::vector<bool> numeric;
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t c = 0; c < rows[r].size(); ++c) {
      if (c >= width.size()) {
        width.push_back(0);
        numeric.push_back(true);
      }
      width[c] = std::max(width[c], rows[r][c].size());
      if (r > 0 && !rows[r][c].empty() && rows[r][c].find_first_of("0123456789") != 0 && rows[r][c][0] != '-')
        numeric[c] = false;
    }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c)
      line += (c > 0 ? "  " : "") +
              (numeric[c] ? fmt::format("{:>{}}", row[c], width[c]) : fmt::format("{:<{}}", row[c], width[c]));
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace strata::cli
