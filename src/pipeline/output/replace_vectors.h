// A checkpoint with some of its one-dimensional tensors replaced; every other byte is as it was.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "model/model.h"

namespace strata::pipeline {

/// Writes `checkpoint` (a GGUF file or a folder) to `output`. The vectors, named as Hugging Face names their tensors,
/// replace the ones in it, each in the type that the file has it in. Folders within a folder are not copied. The
/// complete output appears, or none does. Returns the bytes written. Throws Error for a GGUF model that is split over
/// files, an output that exists (unless `overwrite`), a tensor that is missing or has another size, and a value that a
/// tensor's type cannot hold.
std::uint64_t replace_vectors(const model::Model& checkpoint, const std::map<std::string, std::vector<float>>& vectors,
                              const std::filesystem::path& output, bool overwrite);

}  // namespace strata::pipeline
