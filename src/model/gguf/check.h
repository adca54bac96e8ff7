// Whether a GGUF file holds all of a model's architecture.
#pragma once
#include <string>

#include "model/architecture.h"

namespace strata::model {

/// Whether GGUF files of the model's family are read and written here.
bool has_gguf_files(const Architecture& architecture);

/// Throws Error, opened by `where`, for a family that has no name in GGUF files here, and for a model that would come
/// back as another one from its file's keys and from what llama.cpp has fixed: the sentence names the part that is
/// lost.
void check_gguf_parts(const Architecture& architecture, const std::string& where);

/// The first part that `back`, a model that came out of a GGUF file, does not have as the model has it that went in;
/// empty when there is none. Windows are not held against each other where llama.cpp has none: such files are for
/// contexts that are no longer than the window.
std::string lost_in_gguf(const Architecture& model, const Architecture& back);

/// How many keys a token of the model sees, where llama.cpp lets it see all, so that a file is right for no longer
/// contexts; 0 when nothing is left out.
std::size_t window_left_out(const Architecture& architecture);

}  // namespace strata::model
