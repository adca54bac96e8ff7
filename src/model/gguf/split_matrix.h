// A matrix of the model that lies in several tensors of a GGUF file (splits.h), as the model has it.
// A part of GgufSource.
#pragma once
#include <string>
#include <vector>

#include "format/gguf.h"
#include "model/gguf/splits.h"
#include "model/tensor_source.h"

namespace strata::model {

class GgufSplitMatrix {
 public:
  /// tensors: of the pieces, in their order and shapes.
  GgufSplitMatrix(std::vector<GgufPiece> pieces, std::vector<format::GgufTensor> tensors)
      : pieces_(std::move(pieces)), tensors_(std::move(tensors)) {}

  std::size_t rows() const { return pieces_.front().heads * pieces_.front().head_rows; }
  std::size_t cols() const { return pieces_.front().cols; }
  const std::vector<format::GgufTensor>& tensors() const { return tensors_; }
  /// "Q4_K and Q8_0".
  std::string type() const;
  std::uint64_t bytes() const;
  /// Whether the rows of all tensors are rows of the matrix, in one type.
  bool alike() const;

  /// The weights. The tensors' mapped pages are given back. Throws Error, opened by `where`, for a type that is not
  /// read here.
  LinearWeights decoded(const std::string& where) const;
  /// The rows as they lie in the file, where all tensors are alike and have this codec.
  codec::Stored stored(const codec::Codec& codec) const;

 private:
  std::vector<GgufPiece> pieces_;
  std::vector<format::GgufTensor> tensors_;
};

}  // namespace strata::model
