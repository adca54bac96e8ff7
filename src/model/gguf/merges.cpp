// Neighbours that can be merged wait in a queue, so that long words take little more time than their length.
// Pieces are views of the word: two that lie side by side are merged by their sizes.
#include "model/gguf/merges.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <queue>

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

namespace {

/// Two neighbouring pieces that a merge joins, the left one by its place in the word. It is out of date when a piece
/// has another size by now.
struct Neighbours {
  std::size_t merge, left, left_size, right_size;
  bool operator>(const Neighbours& other) const { return std::pair(merge, left) > std::pair(other.merge, other.left); }
};

}  // namespace

std::vector<std::string_view> Merges::pieces(std::string_view word) const {
  const std::optional<std::vector<std::size_t>> starts = code_points(word);
  if (!starts) return {word};
  // A piece stands where its first character stood; those that were merged into it are empty.
  const std::size_t count = starts->size() - 1;
  std::vector<std::string_view> pieces(count);
  std::vector<std::size_t> before(count), after(count);
  std::priority_queue<Neighbours, std::vector<Neighbours>, std::greater<>> queue;
  const auto look_at = [&](std::size_t left) {
    if (left >= count || after[left] >= count) return;
    const std::string_view a = pieces[left], b = pieces[after[left]];
    if (const auto it = places_.find({a, b}); it != places_.end()) queue.push({it->second, left, a.size(), b.size()});
  };
  for (std::size_t i = 0; i < count; ++i) {
    pieces[i] = word.substr((*starts)[i], (*starts)[i + 1] - (*starts)[i]);
    before[i] = i - 1;  // beyond the pieces at the first, as after is at the last
    after[i] = i + 1;
  }
  for (std::size_t i = 0; i < count; ++i) look_at(i);
  while (!queue.empty()) {
    const Neighbours next = queue.top();
    queue.pop();
    const std::size_t left = next.left, right = after[left];
    if (right >= count || pieces[left].size() != next.left_size || pieces[right].size() != next.right_size) continue;
    pieces[left] = {pieces[left].data(), next.left_size + next.right_size};
    pieces[right] = {};
    after[left] = after[right];
    if (after[left] < count) before[after[left]] = left;
    look_at(left);
    look_at(before[left]);
  }
  std::erase_if(pieces, [](std::string_view piece) { return piece.empty(); });
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
