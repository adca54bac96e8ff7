// What takes the place of a codec whose groups or blocks do not divide the columns of a matrix.
// Types of GGUF have a table, as there is no rule for them; those of MLX differ in their groups alone.
#include <array>
#include <utility>

#include "pipeline/plan/target.h"

namespace strata::pipeline {

using codec::Codec;
using codec::Family;

namespace {

/// The affine codec of as many bits with the largest groups that divide the columns; keep when there is none.
const Codec& smaller_groups(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  const Codec* best = &codec::by_name("keep");
  for (const Codec& other : codec::all())
    if (other.family == Family::affine && other.code_bits == codec.code_bits && other.group_size < codec.group_size &&
        codec::why_not(other, rows, cols).empty())
      best = &other;
  return *best;
}

}  // namespace

const Codec& smaller_blocks(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  if (codec.family == Family::affine) return smaller_groups(codec, rows, cols);
  constexpr std::array<std::pair<std::string_view, std::string_view>, 15> kInstead{{
      {"q2_k", "iq4_nl"},
      {"q3_k", "iq4_nl"},
      {"iq4_xs", "iq4_nl"},
      {"iq3_s", "iq4_nl"},
      {"iq3_xxs", "iq4_nl"},
      {"iq2_s", "iq4_nl"},
      {"iq2_xs", "iq4_nl"},
      {"iq2_xxs", "iq4_nl"},
      {"iq1_m", "iq4_nl"},
      {"iq1_s", "iq4_nl"},
      {"tq2_0", "iq4_nl"},
      {"tq1_0", "iq4_nl"},
      {"q4_k", "q5_0"},
      {"q5_k", "q5_1"},
      {"q6_k", "q8_0"},
  }};
  for (const auto& [name, instead] : kInstead)
    if (name == codec.name && codec::why_not(codec::by_name(instead), rows, cols).empty())
      return codec::by_name(instead);
  return codec::by_name("keep");
}

}  // namespace strata::pipeline
