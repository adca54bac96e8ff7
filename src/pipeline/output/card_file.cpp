// The file is filled up with an HTML comment, which no reader of a card shows.
#include "pipeline/output/card_file.h"

#include "core/error.h"

namespace strata::pipeline {
namespace {

constexpr std::string_view kBegin =
    "\n<!-- This file has the size that was planned for it before anything was measured.";
constexpr std::string_view kEnd = " -->\n";

}  // namespace

std::size_t most_card_text() { return kCardBytes - kBegin.size() - kEnd.size(); }

std::string card_file(std::string text) {
  STRATA_CHECK(text.size() <= most_card_text(), "a card of {} bytes", text.size());
  text += kBegin;
  text.append(kCardBytes - kEnd.size() - text.size(), ' ');
  text += kEnd;
  return text;
}

std::string unfinished_card() {
  return card_file("The job that made this model has not written its card yet: nothing was measured.\n");
}

}  // namespace strata::pipeline
