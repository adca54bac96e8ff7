// Merges that a vocabulary does not list are those that it was trained with.
#include "model/gguf/merges.h"

#include <gtest/gtest.h>

namespace strata::model {
namespace {

using Texts = std::vector<std::string_view>;
using Pairs = std::vector<TokenPair>;

TEST(Merges, AWordIsMergedByTheFirstMergeAndFromTheLeft) {
  Merges merges;
  merges.add({"b", "c"});
  merges.add({"a", "b"});
  merges.add({"a", "a"});
  EXPECT_EQ(merges.pieces("abc"), (Texts{"a", "bc"}));
  EXPECT_EQ(merges.pieces("aaa"), (Texts{"aa", "a"}));
  EXPECT_EQ(merges.pieces("\xC3\xA9x"), (Texts{"\xC3\xA9", "x"}));
  EXPECT_EQ(merges.pieces("\xFF\xFE"), (Texts{"\xFF\xFE"})) << "no UTF-8";
  EXPECT_TRUE(merges.pieces("").empty());
}

TEST(Merges, TheOrderOfTokensTellsWhatEachWasMadeOf) {
  // "abcd" is cut by what comes before it into ab and cd, never into abc and d.
  EXPECT_EQ(merges_from_order(Texts{"a", "b", "c", "d", "ab", "cd", "abcd", "abc"}),
            (Pairs{{"a", "b"}, {"c", "d"}, {"ab", "cd"}, {"ab", "c"}}));
  // What no two tokens make has no merge, and makes none of others.
  EXPECT_EQ(merges_from_order(Texts{"a", "b", "c", "abc", "ab"}), (Pairs{{"a", "b"}}));
}

TEST(Merges, AllTokensAreMadeOrNot) {
  EXPECT_TRUE(merges_make_all(Pairs{{"a", "b"}, {"ab", "c"}}, Texts{"a", "abc", ""}));
  EXPECT_FALSE(merges_make_all(Pairs{{"b", "c"}, {"a", "b"}, {"ab", "c"}}, Texts{"abc"})) << "bc comes first";
}

}  // namespace
}  // namespace strata::model
