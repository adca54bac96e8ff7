// Merges that a vocabulary does not list are those that it was trained with.
#include "model/gguf/merges.h"

#include <gtest/gtest.h>

namespace strata::model {
namespace merges_test {

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
  EXPECT_EQ(merges.pieces("aabcab"), (Texts{"aa", "bc", "ab"}));
}

TEST(Merges, TheOrderOfTokensTellsWhatEachWasMadeOf) {
  // "abcd" is cut by what comes before it into ab and cd, never into abc and d.
  EXPECT_EQ(merges_from_order(Texts{"a", "b", "c", "d", "ab", "cd", "abcd", "abc"}),
            (Pairs{{"a", "b"}, {"c", "d"}, {"ab", "cd"}, {"ab", "c"}}));
  // What no two tokens make has no merge, and makes none of others.
  EXPECT_EQ(merges_from_order(Texts{"a", "b", "c", "abc", "ab"}), (Pairs{{"a", "b"}}));
}

/// The same by the rule as it is written: the first merge of all, the leftmost, until there is none.
Texts slowly(std::string_view word, const Pairs& merges) {
  Texts pieces;
  for (std::size_t i = 0; i < word.size(); ++i) pieces.push_back(word.substr(i, 1));
  for (bool merged = true; merged;) {
    merged = false;
    for (const TokenPair& merge : merges) {
      for (std::size_t i = 0; i + 1 < pieces.size() && !merged; ++i)
        if (TokenPair(pieces[i], pieces[i + 1]) == merge) {
          pieces[i] = {pieces[i].data(), pieces[i].size() + pieces[i + 1].size()};
          pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(i) + 1);
          merged = true;
        }
      if (merged) break;
    }
  }
  return pieces;
}

TEST(Merges, ThePiecesAreThoseOfTheRuleAsItIsWritten) {
  const Pairs pairs = {{"a", "b"},   {"b", "a"},   {"a", "a"}, {"ab", "a"},
                       {"aa", "ba"}, {"ab", "ab"}, {"b", "b"}, {"aba", "bb"}};
  Merges merges;
  for (const TokenPair& pair : pairs) merges.add(pair);
  for (unsigned bits = 0; bits < 4096; ++bits) {
    std::string word;
    for (unsigned i = 0; i < 12; ++i) word += (bits >> i & 1) != 0 ? 'a' : 'b';
    ASSERT_EQ(merges.pieces(word), slowly(word, pairs)) << word;
  }
}

TEST(Merges, AllTokensAreMadeOrNot) {
  EXPECT_TRUE(merges_make_all(Pairs{{"a", "b"}, {"ab", "c"}}, Texts{"a", "abc", ""}));
  EXPECT_FALSE(merges_make_all(Pairs{{"b", "c"}, {"a", "b"}, {"ab", "c"}}, Texts{"abc"})) << "bc comes first";
}

}  // namespace merges_test
}  // namespace strata::model
