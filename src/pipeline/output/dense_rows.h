// Dense tensors in the type that the output has them in, a stretch of rows at a time, on all threads.
// Their weights are checked on the way.
#pragma once
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "model/model.h"

namespace strata::pipeline {

/// The row of the source that becomes a row of the output; empty: the rows keep their order.
using RowOrder = std::function<std::size_t(std::size_t row)>;
/// Takes the next bytes of a tensor.
using TakeBytes = std::function<void(std::vector<std::byte>)>;

/// A matrix (rows, cols) of the model as `dtype`: bf16, f16 or f32. Its mapped pages are released afterwards. Throws
/// Error naming the first weight that is not finite or that float16 cannot hold.
void dense_matrix(const model::Model& model, const std::string& name, std::size_t rows, std::size_t cols, DType dtype,
                  const RowOrder& order, const TakeBytes& take);

/// The same for values that are at hand. name: the tensor that they are, for errors.
void dense_values(const model::Model& model, const std::string& name, const MatrixView& values, DType dtype,
                  const TakeBytes& take);
void dense_vector(const model::Model& model, const std::string& name, std::span<const float> values, DType dtype,
                  const TakeBytes& take);

}  // namespace strata::pipeline
