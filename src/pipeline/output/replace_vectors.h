// A checkpoint with some of its one-dimensional tensors replaced; every other byte is as it was.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "model/model.h"

namespace strata::pipeline {

/// Writes `checkpoint` (a GGUF file or a folder) to `output` with these vectors, by Hugging Face's tensor names, in the
/// type that each has in the file; the complete output appears or none. Folders within a folder are left out. Returns
/// the bytes written. Throws Error for a GGUF model split over files, an output that exists (unless overwrite), a
/// tensor that is not there or of another size, and a value beyond its type.
std::uint64_t replace_vectors(const model::Model& checkpoint, const std::map<std::string, std::vector<float>>& vectors,
                              const std::filesystem::path& output, bool overwrite);

}  // namespace strata::pipeline
