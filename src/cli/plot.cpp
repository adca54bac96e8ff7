// Draws the map. Its colours come from xterm's table of 256 and run from dark blue to light yellow, which everyone can
// tell apart; the height of a cell says the same.
#include "cli/plot.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

namespace strata::cli {
namespace {

constexpr std::array<const char*, 8> kHeights = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array<int, 8> kColours = {25, 31, 37, 72, 107, 149, 185, 228};

struct Scale {
  double least = 0, greatest = 0;
  bool decades = false, downwards = false;

  std::size_t level(double value) const {
    const auto map = [&](double x) { return decades ? std::log(x) : x; };
    const double span = map(greatest) - map(least);
    double place = span > 0 ? (map(value) - map(least)) / span : 0.5;
    if (downwards) place = 1 - place;
    return static_cast<std::size_t>(std::lround(place * (kHeights.size() - 1)));
  }
};

Scale scale_of(const std::vector<PlotRow>& rows, bool downwards) {
  std::vector<double> known;
  for (const PlotRow& row : rows)
    for (const auto& value : row.values)
      if (value && std::isfinite(*value)) known.push_back(*value);
  if (known.empty()) return {};
  const auto [least, greatest] = std::ranges::minmax(known);
  return {least, greatest, least > 0 && greatest / least > 30, downwards};
}

std::string cell(const std::optional<double>& value, const Scale& scale, bool colour, std::size_t width) {
  if (!value || !std::isfinite(*value)) return std::string(width, ' ');
  const std::size_t level = scale.level(*value);
  std::string text;
  for (std::size_t i = 0; i < width; ++i) text += kHeights[level];
  return colour ? fmt::format("\x1b[38;5;{}m{}\x1b[0m", kColours[level], text) : text;
}

}  // namespace

std::string block_plot(const std::vector<PlotRow>& rows, const PlotStyle& style) {
  std::size_t side = 5, blocks = 0;
  for (const PlotRow& row : rows) {
    side = std::max(side, row.name.size());
    blocks = std::max(blocks, row.values.size());
  }
  const std::size_t room = style.width == 0 ? 3 * blocks : style.width > side + 7 ? style.width - side - 1 : 6;
  const std::size_t pitch = 3 * blocks <= room ? 3 : 2, per_line = std::max<std::size_t>(5, room / pitch / 5 * 5);
  const Scale scale = scale_of(rows, style.downwards);
  std::string text;
  for (std::size_t first = 0; first < blocks; first += per_line) {
    const std::size_t end = std::min(blocks, first + per_line);
    std::string line = fmt::format("{:<{}}", "block", side + 1);
    for (std::size_t b = first; b < end; b += 5)
      line += fmt::format("{:<{}}", b, pitch * std::min<std::size_t>(5, end - b));
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
    for (const PlotRow& row : rows) {
      text += fmt::format("{:<{}}", row.name, side + 1);
      for (std::size_t b = first; b < end; ++b)
        text += cell(b < row.values.size() ? row.values[b] : std::nullopt, scale, style.colour, pitch - 1) + " ";
      text.back() = '\n';
    }
  }
  if (scale.least == scale.greatest) return text + fmt::format("all {:.4g} {}\n", scale.least, style.unit);
  const double low = style.downwards ? scale.greatest : scale.least,
               high = style.downwards ? scale.least : scale.greatest;
  return text + fmt::format("{} {:.4g}   {} {:.4g} {}{}\n", kHeights.front(), low, kHeights.back(), high, style.unit,
                            scale.decades ? " (by decades)" : "");
}

PlotStyle terminal_style() {
  PlotStyle style;
  if (isatty(STDOUT_FILENO) == 0) return style;
  const char* no_colour = std::getenv("NO_COLOR");
  style.colour = no_colour == nullptr || *no_colour == '\0';
  winsize size{};
  style.width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
  return style;
}

}  // namespace strata::cli
