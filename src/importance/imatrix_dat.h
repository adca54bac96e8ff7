// Importance matrices of llama-imatrix before GGUF (".dat"): means of squares by name of the weight.
// Source: llama.cpp, tools/imatrix/imatrix.cpp, load_imatrix_legacy. Byte layout: docs/formats/gguf.md.
#pragma once
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace strata::importance {

/// The means of every weight's inputs, those of stacked experts one after another. Throws Error naming `where` for
/// bytes that are no such file, also for those that are too few or too many.
std::map<std::string, std::vector<float>> parse_imatrix_dat(std::span<const std::byte> file, const std::string& where);

}  // namespace strata::importance
