// llama.cpp's own mixes of GGUF types: what llama-quantize would make of a model, tensor by tensor, so that the same
// bytes can be spent better (--like Q4_K_M).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/architecture.h"

namespace strata::pipeline {

struct StockTensor {
  std::uint32_t type;   ///< ggml type number, the fallback for rows that its blocks do not divide included
  std::uint64_t bytes;  ///< of the whole matrix
};

/// The types that llama-quantize NAME gives with an importance matrix, by index into Architecture::linears; with
/// Fusion::single the embedding is among them. Follows llama.cpp, src/llama-quant.cpp, for dense models. Throws
/// UsageError for an unknown mix, listing the known ones.
std::vector<StockTensor> stock_mix(const model::Architecture& architecture, std::string_view name);

/// The names of all mixes, "Q2_K, Q3_K_S, ...".
std::string stock_mix_names();

}  // namespace strata::pipeline
