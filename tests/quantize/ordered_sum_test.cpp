// The order of the sum, and what is held of it. Several ranks: tests/cluster.
#include "quantize/ordered_sum.h"

#include <gtest/gtest.h>

#include <string>

#include "core/ranks.h"

namespace strata::quantize {
namespace ordered_sum_test {

/// Notes which sums were added to which, and how many there are.
struct Noted {
  std::string text;
  std::size_t* alive;
  std::size_t* most;
  explicit Noted(std::size_t* count, std::size_t* largest) : alive(count), most(largest) { born(); }
  Noted(const Noted& other) : text(other.text), alive(other.alive), most(other.most) { born(); }
  Noted(Noted&& other) noexcept : text(std::move(other.text)), alive(other.alive), most(other.most) {
    other.alive = nullptr;
  }
  Noted& operator=(Noted&& other) noexcept {
    if (alive != nullptr) --*alive;
    text = std::move(other.text);
    alive = std::exchange(other.alive, nullptr);
    return *this;
  }
  ~Noted() {
    if (alive != nullptr) --*alive;
  }
  void born() { *most = std::max(*most, ++*alive); }
  Noted& operator+=(const Noted& other) {
    text = "(" + text + other.text + ")";
    return *this;
  }
};

struct Result {
  std::string text;
  std::size_t most = 0;
};

Result sum_of(std::size_t parts, std::size_t without = 99) {
  std::size_t alive = 0;
  Result result;
  OrderedSum<Noted> sum([&] { return Noted(&alive, &result.most); }, parts, 0, parts);
  for (std::size_t p = 0; p < parts; ++p)
    if (p != without)
      for (int batch = 0; batch < 2; ++batch) sum.of_part(p).text += static_cast<char>('a' + p);
  result.text = sum.whole().text;
  return result;
}

TEST(OrderedSum, AddsFourInARowAndThenFourOfThose) {
  EXPECT_EQ(sum_of(1).text, "aa");
  EXPECT_EQ(sum_of(3).text, "((aabb)cc)");
  EXPECT_EQ(sum_of(4).text, "(((aabb)cc)dd)");
  EXPECT_EQ(sum_of(6).text, "((((aabb)cc)dd)(eeff))");
  EXPECT_EQ(sum_of(9).text, "(((((aabb)cc)dd)(((eeff)gg)hh))ii)");
}

TEST(OrderedSum, APartThatGivesNothingIsLeftOut) {
  EXPECT_EQ(sum_of(6, 0).text, "(((bbcc)dd)(eeff))");
  EXPECT_EQ(sum_of(6, 5).text, "((((aabb)cc)dd)ee)");
  EXPECT_EQ(sum_of(1, 0).text, "");
}

TEST(OrderedSum, HoldsFewSumsAtATime) {
  for (std::size_t parts = 1; parts <= kMostParts; ++parts) EXPECT_LE(sum_of(parts).most, kSumsHeld) << parts;
}

TEST(OrderedSum, TheNodesOfAllRanksCoverThePartsInOrder) {
  for (std::size_t parts = 1; parts <= kMostParts; ++parts)
    for (std::size_t size = 1; size <= 20; ++size) {
      std::size_t at = 0;
      for (std::size_t rank = 0; rank < size; ++rank) {
        const Ranks ranks(rank, size);
        const auto nodes = sum_nodes(parts, ranks.first_of(parts), ranks.end_of(parts));
        EXPECT_LE(nodes.size(), 6u);
        for (const SumNode& node : nodes) {
          EXPECT_EQ(node.begin, at);
          EXPECT_EQ(sum_node(node.level, node.index, parts).end, node.end);
          at = node.end;
        }
      }
      EXPECT_EQ(at, parts);
    }
}

}  // namespace ordered_sum_test
}  // namespace strata::quantize
