// Text that the tokenizer crate owns, released with the scope.
// Only files that call functions of strata_tokenizer.h include this.
#pragma once
#include <string_view>

#include "strata_tokenizer.h"

namespace strata::model {

class CrateText {
 public:
  CrateText() = default;
  ~CrateText() { strata_text_free(text_); }
  CrateText(const CrateText&) = delete;
  CrateText& operator=(const CrateText&) = delete;

  /// Where the crate writes its text; to be used once.
  strata_text* out() { return &text_; }
  std::string_view view() const { return {text_.data, text_.size}; }

 private:
  strata_text text_{};
};

}  // namespace strata::model
