// Tensors whose rows and columns are multiplied by powers of two, which changes no bit of a significand.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/tensor_source.h"

namespace strata::model {

/// What multiplies a tensor: a factor for every row (of a vector, every number) and for every column; empty: none.
struct TensorFactors {
  std::vector<float> rows, columns;
};
/// By the names of tensors.
using FactorsByTensor = std::map<std::string, TensorFactors, std::less<>>;

/// The source with these tensors multiplied: dense matrices and vectors. Matrices are copied when they are asked for,
/// in bf16 where the source has that, else in f32.
std::shared_ptr<const TensorSource> scaled(std::shared_ptr<const TensorSource> source, FactorsByTensor factors);

}  // namespace strata::model
