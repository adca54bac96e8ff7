// The bytes of a GGUF file's tensors, from those of the model's and back: rows in GGUF's order, pieces of matrices, and
// the numbers that GGUF holds in another form. Names, order of rows and forms are those of model/gguf.
#include <algorithm>
#include <cmath>

#include "core/file.h"
#include "core/threads.h"
#include "model/gguf/export.h"
#include "pipeline/output/dense_rows.h"
#include "pipeline/output/gguf_file.h"
#include "pipeline/output/linear_encoder.h"
#include "pipeline/output/stored_parts.h"

namespace strata::pipeline {
namespace {

/// The row of the source that becomes a row of a tensor with interleaved heads; empty without them.
RowOrder row_order(const model::Architecture& a, const std::string& hf_name, std::size_t rows) {
  const std::size_t heads = model::interleaved_heads(a, hf_name);
  if (heads == 0) return {};
  return [head_dim = rows / heads, turned = a.ropes.front().dims](std::size_t row) {
    return model::interleaved_from(row, head_dim, turned);
  };
}

/// Appends `rows` rows of a stored linear to a file, those that `order` says or all as they are.
void append(const codec::Stored& stored, std::size_t rows, const RowOrder& order, OutputFile& file) {
  const std::span<const std::byte> bytes = stored.views.at(0);
  if (!order) return file.write(bytes);
  const std::size_t row_bytes = bytes.size() / stored.rows;
  for (std::size_t r = 0; r < rows; ++r) file.write(bytes.subspan(order(r) * row_bytes, row_bytes));
}

/// The numbers of a tensor that is a matrix of one row in the model.
std::vector<float> row_of(const model::Model& model, const std::string& name, std::size_t count) {
  std::vector<float> values(count);
  const model::LinearWeights row = model.matrix(name, 1, count);
  read_row(row.view().dense, 0, 0, count, values.data());
  return values;
}

}  // namespace

codec::Stored GgufFile::read(std::size_t linear, const std::filesystem::path& path) const {
  const model::Linear& shape = model_.architecture().linears[linear];
  codec::Stored stored = codec::allocate(*codecs_[linear], shape.rows, shape.cols);
  const std::vector<Place> all = places(linear, path);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Tensor& tensor = files_[spots_[linear][i].file].tensors[spots_[linear][i].tensor];
    std::vector<std::byte>& bytes = stored.parts.at(tensor.part);
    if (tensor.part != 0) {
      read_stored(all[i], bytes);
      continue;
    }
    const auto& piece = tensor.piece;
    RowOrder order = row_order(model_.architecture(), shape.module + ".weight", shape.rows);
    if (piece) order = [&](std::size_t row) { return piece->source(row); };
    if (!order) {
      read_stored(all[i], bytes);
      continue;
    }
    const std::size_t row_bytes = bytes.size() / stored.rows, rows = piece ? piece->rows() : stored.rows;
    std::vector<std::byte> given(rows * row_bytes);
    read_stored(all[i], given);
    for (std::size_t r = 0; r < rows; ++r)
      std::ranges::copy(std::span(given).subspan(r * row_bytes, row_bytes),
                        bytes.begin() + static_cast<std::ptrdiff_t>(order(r) * row_bytes));
  }
  return stored;
}

void GgufFile::write_tensor(const Tensor& tensor, LinearEncoder& encoder, PartWriter& writer) const {
  const model::Architecture& a = model_.architecture();
  const std::vector<std::uint64_t>& shape = tensor.spec.shape;
  const TakeBytes post = [&](std::vector<std::byte> bytes) { writer.post(std::move(bytes)); };
  if (tensor.part != 0) {
    encoder.part(tensor.linears, tensor.part, [&](std::shared_ptr<const codec::Stored> stored) {
      writer.post(stored->views.at(1).size(), [stored](OutputFile& file) { file.write(stored->views[1]); });
    });
    return;
  }
  if (!tensor.values.empty()) return dense_vector(model_, tensor.hf_name, tensor.values, DType::f32, post);
  for (const std::string& name : tensor.vectors)
    dense_vector(model_, name, model_.vector(name, shape.back()), DType::f32, post);
  if (!tensor.vectors.empty()) return;
  if (shape.size() == 1 || tensor.matrix_rows != 0 || tensor.form == model::GgufForm::squeezed ||
      tensor.form == model::GgufForm::rates)
    return dense_vector(model_, tensor.hf_name, vector_of(tensor), DType::f32, post);
  if (tensor.piece) return write_piece(tensor, encoder, writer);
  const std::size_t rows = shape[shape.size() - 2], cols = shape.back();
  const auto write_dense = [&](const std::string& hf_name) {
    const DType type = format::ggml_dense_type(tensor.spec.type).value();
    dense_matrix(model_, hf_name, rows, cols, type, row_order(a, hf_name, rows), post);
  };
  if (tensor.linears.empty()) return write_dense(tensor.hf_name);
  for (const std::size_t l : tensor.linears)
    if (!codecs_[l]->has_codes()) write_dense(a.linears[l].module + ".weight");
  if (!codecs_[tensor.linears.front()]->has_codes()) return;
  const RowOrder order = row_order(a, tensor.hf_name, rows);
  encoder.part(tensor.linears, 0, [&](std::shared_ptr<const codec::Stored> stored) {
    writer.post(stored->views.at(0).size(),
                [stored, rows, order](OutputFile& file) { append(*stored, rows, order, file); });
  });
}

/// The numbers of a tensor that is no matrix, as GGUF has them.
std::vector<float> GgufFile::vector_of(const Tensor& tensor) const {
  std::uint64_t count = 1;
  for (const std::uint64_t extent : tensor.spec.shape) count *= extent;
  std::vector<float> values = tensor.form == model::GgufForm::row ? row_of(model_, tensor.hf_name, count)
                                                                  : model_.vector(tensor.hf_name, count);
  if (model::holds_norm_offset(tensor.spec.name))
    for (float& value : values) value += model_.architecture().norm_offset;
  if (tensor.form == model::GgufForm::rates)
    for (float& value : values) value = -std::exp(value);
  const RowOrder order = row_order(model_.architecture(), tensor.hf_name, count);
  if (!order) return values;
  std::vector<float> ordered(count);
  for (std::size_t i = 0; i < count; ++i) ordered[i] = values[order(i)];
  return ordered;
}

void GgufFile::write_piece(const Tensor& tensor, LinearEncoder& encoder, PartWriter& writer) const {
  const model::GgufPiece& piece = *tensor.piece;
  const std::size_t l = tensor.linears.front(), width = tensor.spec.shape.back();
  const auto source = [piece](std::size_t row) { return piece.source(row); };
  if (codecs_[l]->has_codes()) {
    const auto stored = encoder.linear(l);
    return writer.post(tensor.spec.bytes(), [stored, rows = piece.rows(), source](OutputFile& file) {
      append(*stored, rows, source, file);
    });
  }
  const model::Linear& linear = model_.architecture().linears[l];
  const model::LinearWeights weights = model_.weights(linear);
  std::vector<float> values(piece.rows() * piece.cols);
  parallel_for(piece.rows(), [&](std::size_t r) {
    read_row(weights.view().dense, source(r), 0, piece.cols, values.data() + r * piece.cols);
  });
  values = model::transposed(piece, values, false);
  dense_values(model_, tensor.hf_name, MatrixView::dense(values.data(), values.size() / width, width, DType::f32),
               format::ggml_dense_type(tensor.spec.type).value(),
               [&](std::vector<std::byte> bytes) { writer.post(std::move(bytes)); });
  model_.release(tensor.hf_name);
}

}  // namespace strata::pipeline
