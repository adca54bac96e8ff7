// Importance matrices as llama.cpp exchanges them: sums of squares of every linear's inputs, in a GGUF file.
// llama-imatrix writes them, llama-quantize reads them. Byte layout: docs/formats/gguf.md.
#pragma once
#include <filesystem>
#include <vector>

#include "importance/calibration.h"
#include "importance/linear_inputs.h"

namespace strata::importance {

/// Writes the mean squares of the linears of the blocks, and of lm_head when untied, as llama-imatrix does; those of a
/// block's experts are stacked. An expert's count is of the tokens that its mean is over (InputMeanSquare::of).
/// Throws Error (disk full, shared experts, ...) naming the path.
void write_imatrix(const std::filesystem::path& path, const model::Model& model, const InputMeanSquare& inputs,
                   const CalibrationSource& source);

/// Reads a GGUF file or an older .dat. The mean square of every input, by index into Architecture::linears. It is empty
/// for a linear that the file does not hold, which only lm_head and the embedding may be. Throws Error for a file that
/// is no importance matrix, and for one of another model, naming the first tensor that differs.
std::vector<std::vector<float>> read_imatrix(const std::filesystem::path& path, const model::Model& model);

}  // namespace strata::importance
