// What the products of a GGUF file's matrices are multiplied by: llama.cpp's tensors "NAME.scale", one number for a
// matrix or for each expert of a stack. NVFP4 needs them; any type may have them. docs/formats/gguf.md.
#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "format/gguf.h"
#include "model/architecture.h"

namespace strata::model {

class GgufFactors {
 public:
  using Tensors = std::map<std::string, format::GgufTensor, std::less<>>;

  GgufFactors() = default;
  /// Takes the factors out of a file's `tensors`, and what llama.cpp scales inputs by before it rounds them
  /// ("NAME.input_scale"), which nothing here does. Parts of the architecture that have such names stay. `where` opens
  /// errors. Throws Error for a factor that is not finite, not float32, or not one for each matrix.
  GgufFactors(const Architecture& architecture, Tensors& tensors, const std::string& where);

  /// The factor of a matrix, which may be an expert's stretch of a stack of the file's; 1 for one without.
  float of(const format::GgufTensor& tensor) const;
  bool has(const std::string& tensor) const { return factors_.contains(tensor); }
  /// The tensors' bytes, for what identifies a file.
  std::vector<std::span<const std::byte>> bytes() const;

 private:
  struct Factors {
    std::vector<float> values;         ///< one, or one for each matrix of the stack
    std::span<const std::byte> stack;  ///< the bytes of all its matrices
    std::span<const std::byte> bytes;  ///< of the factors
  };
  std::map<std::string, Factors, std::less<>> factors_;  ///< by the names of the matrices' tensors
};

/// Empty when llama.cpp multiplies the products of a linear by a factor, else why not.
std::string why_no_factor(const Architecture& architecture, const Linear& linear);

/// Whether a codec holds weights that are multiplied by this: NVFP4, which has a factor, a power of two.
bool holds_factor(const codec::Codec& codec, float factor);

}  // namespace strata::model
