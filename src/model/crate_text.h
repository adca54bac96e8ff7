// Text that the tokenizer crate owns, released with the scope.
// Only for the files that call strata_tokenizer.h.
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

  /// For the crate to write to, once.
  strata_text* out() { return &text_; }
  std::string_view view() const { return {text_.data, text_.size}; }

 private:
  strata_text text_{};
};

}  // namespace strata::model
