// "Did you mean": the known names that are nearest to one that is not known.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

/// The fewest letters to insert, remove, replace or swap with their neighbour that turn one text into the other; upper
/// and lower case are alike. Optimal string alignment; O(lengths).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The nearest names, at most three that are equally near: within a third of the letters of `name` (at least one
/// letter), or beginning with it. Empty when none is near.
std::vector<std::string> nearest_names(std::string_view name, std::span<const std::string> known);

/// " (did you mean q4_k or q4_0?)" for the sentence about an unknown name; empty when none is near.
std::string did_you_mean(std::string_view name, std::span<const std::string> known);

}  // namespace strata
