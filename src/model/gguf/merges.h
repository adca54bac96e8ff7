// Byte pair encoding of single words: the merges that a vocabulary without a list of them was trained with, and
// whether merges make every token.
#pragma once
#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strata::model {

/// The offsets at which the code points of a text begin, and the text's size; nothing when it is not UTF-8.
std::optional<std::vector<std::size_t>> code_points(std::string_view text);

/// Two tokens by their texts, which a merge makes one of.
using TokenPair = std::pair<std::string_view, std::string_view>;

/// Merges in their order. The texts that it is given must outlive it.
class Merges {
 public:
  /// Appends a merge; one that is there already keeps its place.
  void add(TokenPair pair) { places_.emplace(pair, places_.size()); }
  /// What a word is cut into: its characters, of which the pair with the first merge is merged again and again, the
  /// leftmost of equal ones first. A text that is not UTF-8 stays whole.
  std::vector<std::string_view> pieces(std::string_view word) const;

 private:
  std::map<TokenPair, std::size_t> places_;
};

/// The merges of a vocabulary whose tokens stand in the order in which training made them, as transformers finds them
/// for tiktoken's files (bpe() of convert_tiktoken_to_fast): those before a token cut it into the two that it was
/// made of. Tokens of one character, and those that are not cut into two, have none.
std::vector<TokenPair> merges_from_order(std::span<const std::string_view> tokens);

/// Whether the merges make every token of its characters, so that a word that is a token need not be looked up.
bool merges_make_all(std::span<const TokenPair> merges, std::span<const std::string_view> tokens);

}  // namespace strata::model
