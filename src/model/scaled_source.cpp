// The factors are the caller's: it has made sure that no product leaves the range of the type.
#include "model/scaled_source.h"

#include <set>

#include "core/threads.h"
#include "model/over_source.h"

namespace strata::model {
namespace {

class Scaled final : public OverSource {
 public:
  Scaled(std::shared_ptr<const TensorSource> source, FactorsByTensor factors)
      : OverSource(std::move(source)), factors_(std::move(factors)) {
    for (const TensorInfo& tensor : source_->tensors())
      if (tensor.type != dtype_name(DType::bf16) && factors_.contains(tensor.name)) wide_.insert(tensor.name);
  }

  LinearWeights matrix(const std::string& name, std::size_t rows, std::size_t cols) const override {
    LinearWeights given = source_->matrix(name, rows, cols);
    const TensorFactors* const factors = factors_of(name);
    if (factors == nullptr) return given;
    const MatrixView& view = given.view().dense;
    const DType type = view.dtype == DType::bf16 ? DType::bf16 : DType::f32;
    std::vector<std::byte> values(rows * cols * dtype_bytes(type));
    parallel_for(rows, [&](std::size_t r) {
      std::vector<float> row(cols);
      read_row(view, r, 0, cols, row.data());
      for (std::size_t c = 0; c < factors->columns.size(); ++c) row[c] *= factors->columns[c];
      if (!factors->rows.empty())
        for (float& value : row) value *= factors->rows[r];
      narrow_row(row, type, values.data() + r * cols * dtype_bytes(type));
    });
    source_->release(name);
    return {std::move(values), rows, cols, type};
  }

  LinearWeights packed(const std::string& name, std::size_t rows, std::size_t cols) const override {
    return factors_of(name) == nullptr ? source_->packed(name, rows, cols) : matrix(name, rows, cols);
  }

  std::uint64_t copied_bytes(const std::string& name, std::size_t rows, std::size_t cols) const override {
    if (factors_of(name) == nullptr) return source_->copied_bytes(name, rows, cols);
    return rows * cols * dtype_bytes(wide_.contains(name) ? DType::f32 : DType::bf16);
  }

  const codec::Codec* native_codec(const std::string& name, std::size_t rows, std::size_t cols) const override {
    return factors_of(name) == nullptr ? source_->native_codec(name, rows, cols) : nullptr;
  }

  std::vector<float> vector(const std::string& name, std::size_t size) const override {
    std::vector<float> values = source_->vector(name, size);
    if (const TensorFactors* const factors = factors_of(name))
      for (std::size_t i = 0; i < values.size(); ++i) values[i] *= factors->rows[i];
    return values;
  }

 private:
  const TensorFactors* factors_of(std::string_view name) const {
    const auto it = factors_.find(name);
    return it == factors_.end() ? nullptr : &it->second;
  }

  FactorsByTensor factors_;
  std::set<std::string, std::less<>> wide_;  ///< of these, tensors of another type than bf16
};

}  // namespace

std::shared_ptr<const TensorSource> scaled(std::shared_ptr<const TensorSource> source, FactorsByTensor factors) {
  return std::make_shared<Scaled>(std::move(source), std::move(factors));
}

}  // namespace strata::model
