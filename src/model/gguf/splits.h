// Matrices of a Hugging Face model that a GGUF file holds in two tensors: what reads the input of a gated delta net
// where it lies together by heads of keys, what makes keys and values of a latent, and Granite's gate and up.
// llama.cpp, conversion/{deepseek,qwen,granite}.py (modify_tensors).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/architecture.h"

namespace strata::model {

/// A tensor that holds some rows of every head of a matrix.
struct GgufPiece {
  struct Stretch {
    std::size_t first, count;  ///< rows of a head
  };
  std::string name;
  std::size_t heads = 0, head_rows = 0, cols = 0;  ///< of the matrix: heads * head_rows rows
  std::vector<Stretch> stretches = {};             ///< those of all heads' first one lie before those of the second
  bool by_head = false;                            ///< three dimensions, (heads, rows of a head, cols)
  bool transposed = false;                         ///< (heads, cols, rows of a head)

  std::size_t rows() const;
  /// The matrix's row that is row `row` of this piece.
  std::size_t source(std::size_t row) const;
  std::vector<std::uint64_t> shape() const;
};

/// A matrix and its pieces, which hold every row of it once.
struct GgufSplit {
  std::string hf;  ///< its name in Hugging Face's files
  std::vector<GgufPiece> pieces;
};
std::vector<GgufSplit> gguf_splits(const Architecture& architecture, std::size_t block);

/// Values of a piece as it lies in the file, in rows of shape().back(), from those of its rows in the matrix, and back.
std::vector<float> transposed(const GgufPiece& piece, const std::vector<float>& values, bool back);

}  // namespace strata::model
