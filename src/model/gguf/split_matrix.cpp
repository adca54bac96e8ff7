// Tensors that are alike are put together byte for byte; others are decoded, each in its own type.
// Shapes were checked when the file was opened.
#include "model/gguf/split_matrix.h"

#include <algorithm>
#include <set>

#include "core/file.h"
#include "core/threads.h"

namespace strata::model {

std::string GgufSplitMatrix::type() const {
  std::set<std::string> types;
  for (const format::GgufTensor& tensor : tensors_) types.insert(format::ggml_type_name(tensor.type));
  return fmt::format("{}", fmt::join(types, " and "));
}

std::uint64_t GgufSplitMatrix::bytes() const {
  std::uint64_t sum = 0;
  for (const format::GgufTensor& tensor : tensors_) sum += tensor.data.size();
  return sum;
}

bool GgufSplitMatrix::alike() const {
  return std::ranges::none_of(pieces_, &GgufPiece::transposed) &&
         std::ranges::all_of(tensors_, [&](const auto& tensor) { return tensor.type == tensors_.front().type; });
}

LinearWeights GgufSplitMatrix::decoded(const std::string& where) const {
  std::vector<float> values(rows() * cols());
  for (std::size_t p = 0; p < pieces_.size(); ++p) {
    const GgufPiece& piece = pieces_[p];
    const format::GgufTensor& tensor = tensors_[p];
    const std::size_t width = tensor.shape.back();
    const std::uint64_t row_bytes = format::ggml_row_bytes(tensor.type, width, where + ": " + tensor.name);
    std::vector<float> given(piece.rows() * cols());
    parallel_for(given.size() / width, [&](std::size_t r) {
      format::ggml_dequantize_row(tensor.type, tensor.data.data() + r * row_bytes, width, given.data() + r * width);
    });
    MappedFile::drop(tensor.data);
    given = transposed(piece, given, true);
    for (std::size_t r = 0; r < piece.rows(); ++r)
      std::copy_n(given.data() + r * cols(), cols(), values.data() + piece.source(r) * cols());
  }
  return {std::move(values), rows(), cols()};
}

codec::Stored GgufSplitMatrix::stored(const codec::Codec& codec) const {
  codec::Stored result = codec::allocate(codec, rows(), cols());
  std::vector<std::byte>& bytes = result.parts.at(0);
  const std::size_t row_bytes = bytes.size() / rows();
  for (std::size_t p = 0; p < pieces_.size(); ++p)
    for (std::size_t r = 0; r < pieces_[p].rows(); ++r)
      std::copy_n(tensors_[p].data.data() + r * row_bytes, row_bytes, bytes.data() + pieces_[p].source(r) * row_bytes);
  return result;
}

}  // namespace strata::model
