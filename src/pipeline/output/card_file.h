// The model card's place in a folder output: README.md, with a size that is known before anything is measured, since
// an output is planned to the byte. The card of the source is kept beside it.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace strata::pipeline {

inline constexpr std::string_view kCardName = "README.md";
inline constexpr std::string_view kSourceCardName = "README.base.md";
inline constexpr std::size_t kCardBytes = 4096;

/// The most bytes of a card's text; the rest of the file says why it is as long as it is.
std::size_t most_card_text();
/// The content of the file: the text (at most most_card_text() bytes) and a comment, kCardBytes together.
std::string card_file(std::string text);
/// What the file says until the job knows what it has measured.
std::string unfinished_card();

}  // namespace strata::pipeline
