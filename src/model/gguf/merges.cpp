// The merge loop is quadratic in the characters of a word, which are few in any real vocabulary.
// Words are views of the vocabulary's own texts: neighbouring pieces lie side by side and are merged by their sizes.
#include "model/gguf/merges.h"

#include <algorithm>
#include <cstdint>

namespace strata::model {

std::optional<std::vector<std::size_t>> code_points(std::string_view text) {
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i < text.size();) {
    starts.push_back(i);
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t size = lead < 0x80 ? 1 : lead >= 0xC2 && lead < 0xE0 ? 2 : lead < 0xE0 ? 0 : lead < 0xF0 ? 3 : 4;
    if (size == 0 || lead > 0xF4 || size > text.size() - i) return std::nullopt;
    std::uint32_t value = size == 1 ? lead : lead & (0x7Fu >> size);
    for (std::size_t k = 1; k < size; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + k]);
      if ((byte & 0xC0) != 0x80) return std::nullopt;
      value = value << 6 | (byte & 0x3F);
    }
    const bool shortest = size < 3 || (size == 3 ? value >= 0x800 : value >= 0x10000);
    if (!shortest || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return std::nullopt;
    i += size;
  }
  starts.push_back(text.size());
  return starts;
}

std::vector<std::string_view> Merges::pieces(std::string_view word) const {
  const std::optional<std::vector<std::size_t>> starts = code_points(word);
  if (!starts) return {word};
  std::vector<std::string_view> pieces;
  for (std::size_t i = 0; i + 1 < starts->size(); ++i)
    pieces.push_back(word.substr((*starts)[i], (*starts)[i + 1] - (*starts)[i]));
  while (pieces.size() > 1) {
    std::size_t best = 0, best_place = places_.size();
    for (std::size_t i = 0; i + 1 < pieces.size(); ++i)
      if (const auto it = places_.find({pieces[i], pieces[i + 1]}); it != places_.end() && it->second < best_place)
        best = i, best_place = it->second;
    if (best_place == places_.size()) break;
    pieces[best] = {pieces[best].data(), pieces[best].size() + pieces[best + 1].size()};
    pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  return pieces;
}

std::vector<TokenPair> merges_from_order(std::span<const std::string_view> tokens) {
  Merges known;
  std::vector<TokenPair> result;
  for (const std::string_view token : tokens) {
    const std::vector<std::string_view> pieces = known.pieces(token);
    if (pieces.size() != 2) continue;
    result.emplace_back(pieces[0], pieces[1]);
    known.add(result.back());
  }
  return result;
}

bool merges_make_all(std::span<const TokenPair> merges, std::span<const std::string_view> tokens) {
  Merges known;
  for (const TokenPair& merge : merges) known.add(merge);
  return std::ranges::all_of(tokens, [&](std::string_view token) { return known.pieces(token).size() <= 1; });
}

}  // namespace strata::model
