// Seeded knapsack instances for the tests and the benchmark of allocate: shaped like a model, or free of any shape.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "allocate/allocate.h"
#include "core/random.h"

namespace strata::allocate::instances {

/// Four groups a block (qkv, o, gate and up, down) with the codecs of a planner: bytes are those of real layouts, cost
/// is a group's sensitivity times 4^-bits, with some disorder in both.
inline std::vector<Group> model(std::uint64_t seed, std::size_t blocks, std::uint64_t hidden, std::uint64_t mlp) {
  Random random(seed);
  const std::array<std::uint64_t, 4> rows{hidden * 3 / 2, hidden, 2 * mlp, hidden};
  const std::array<std::uint64_t, 4> columns{hidden, hidden, hidden, mlp};
  struct Codec {
    std::uint64_t bits, group_size, scale_bits;  // group_size 0: one scale a row
  };
  constexpr std::array<Codec, 12> codecs{{{2, 32, 16},
                                          {2, 128, 16},
                                          {3, 32, 16},
                                          {3, 128, 16},
                                          {4, 32, 16},
                                          {4, 64, 16},
                                          {4, 0, 16},
                                          {5, 32, 16},
                                          {6, 64, 16},
                                          {8, 32, 16},
                                          {8, 0, 16},
                                          {16, 0, 0}}};
  std::vector<Group> groups;
  for (std::size_t g = 0; g < 4 * blocks; ++g) {
    const std::uint64_t weights = rows[g % 4] * columns[g % 4];
    const double sensitivity = static_cast<double>(weights) * std::exp(1.5 * random.normal());
    Group group;
    for (const Codec& codec : codecs) {
      const std::uint64_t scales = codec.group_size == 0 ? rows[g % 4] : weights / codec.group_size;
      const double bits =
          static_cast<double>(codec.bits) - (codec.group_size == 0 ? 0.5 : 0.0) + (codec.group_size == 32 ? 0.3 : 0.0);
      const double noise = 1.0 + 0.1 * random.normal();
      group.push_back({(weights * codec.bits + scales * codec.scale_bits) / 8 + 64,
                       codec.bits == 16 ? 0.0 : sensitivity * std::pow(4.0, -bits) * std::abs(noise)});
    }
    groups.push_back(group);
  }
  return groups;
}

/// `count` groups of 1 to `most` choices; bytes below `bytes` and costs without any relation between them.
inline std::vector<Group> shapeless(std::uint64_t seed, std::size_t count, std::size_t most, std::uint64_t bytes) {
  Random random(seed);
  std::vector<Group> groups(count);
  for (Group& group : groups) {
    const std::size_t choices = 1 + random.below(most);
    for (std::size_t c = 0; c < choices; ++c) group.push_back({random.below(bytes), random.uniform()});
  }
  return groups;
}

/// Cost falls almost in proportion to bytes: exchanges lose next to nothing, so that bounds cut little. The hard case.
inline std::vector<Group> correlated(std::uint64_t seed, std::size_t count, std::size_t most, std::uint64_t bytes) {
  std::vector<Group> groups = shapeless(seed, count, most, bytes);
  for (Group& group : groups)
    for (Choice& choice : group) choice.cost = static_cast<double>(bytes - choice.bytes) * (1.0 + 0.01 * choice.cost);
  return groups;
}

inline std::uint64_t largest(std::span<const Group> groups) {
  std::uint64_t sum = 0;
  for (const Group& group : groups) {
    std::uint64_t most = 0;
    for (const Choice& choice : group) most = std::max(most, choice.bytes);
    sum += most;
  }
  return sum;
}

}  // namespace strata::allocate::instances
