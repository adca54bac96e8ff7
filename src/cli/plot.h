// A map of blocks x roles for a terminal: one block character a cell, its height (and, where there is colour, its
// shade) saying where the value stands between the least and the greatest.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace strata::cli {

struct PlotRow {
  std::string name;
  std::vector<std::optional<double>> values;  ///< by block; none: there is no such linear
};

struct PlotStyle {
  std::string unit;        ///< behind the numbers of the legend
  bool downwards = false;  ///< the least value is drawn highest: signals where smaller is more important
  bool colour = false;
  std::size_t width = 0;  ///< columns of the terminal; 0: as wide as it takes
};

/// Lines of text, a legend last. Values that span more than a factor of 30 are drawn by decades. Rows of one length.
std::string block_plot(const std::vector<PlotRow>& rows, const PlotStyle& style);

/// Colour and width of standard output: none when it is not a terminal; no colour under NO_COLOR either.
PlotStyle terminal_style();

}  // namespace strata::cli
