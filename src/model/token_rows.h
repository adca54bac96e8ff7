// Who is to blame for a token that the model has no row for: its text, and the file that lists it, are looked up when
// one appears.
#pragma once
#include <cstdint>

#include "model/model.h"

namespace strata::model {

/// Throws the Error "PATH: the token '[PAD]' has the id 320, but ...; FILE lists it ..." for an id that is not below
/// Architecture::vocab. Reads the model's tokenizer.
[[noreturn]] void fail_without_row(const Model& model, std::uint32_t token);

}  // namespace strata::model
