// What the engine holds of one block while it runs.
#pragma once
#include <cstddef>
#include <optional>
#include <vector>

#include "engine/experts.h"
#include "kernel/gates.h"
#include "model/model.h"

namespace strata::engine {

/// What a linear has in place of the model's weights, and how it reads its inputs.
struct Replacement {
  kernel::Weights weights;
  codec::ActivationRounding reads;
};

/// What a gated delta net has beside its linears.
struct DeltaWeights {
  std::vector<float> convolution;  ///< (channels, kernel)
  std::vector<float> rates;        ///< (value_heads): by how much a head forgets, below 0
  std::vector<float> dt_bias;      ///< (value_heads)
  std::vector<float> norm;         ///< (value_size)
};

/// What Mamba-2 has beside its linears.
struct MambaWeights {
  std::vector<float> convolution;       ///< (channels, kernel)
  std::vector<float> convolution_bias;  ///< (channels), or empty
  std::vector<float> rates;             ///< (heads): by how much a head forgets, below 0
  std::vector<float> skip;              ///< (heads): how much of x goes straight out
  std::vector<float> dt_bias;           ///< (heads)
  std::vector<float> norm;              ///< (inner)
};

/// What Mamba-1 has beside its linears.
struct SelectiveWeights {
  std::vector<float> convolution;       ///< (inner, kernel)
  std::vector<float> convolution_bias;  ///< (inner), or empty
  std::vector<float> rates;             ///< (state, inner): by how much a value forgets, below 0
  std::vector<float> skip;              ///< (inner): how much of x goes straight out
};

/// What makes the rows that every token has for every block.
struct BlockEmbeddingWeights {
  model::LinearWeights table, projection;
  std::vector<float> norm;
};

struct BlockWeights {
  std::size_t first;                                         ///< index of the block's first linear
  std::vector<std::optional<model::LinearWeights>> linears;  ///< of the block; empty: not needed so far
  std::vector<std::vector<float>> biases;                    ///< empty where there is none
  model::NormWeights norms;
  std::optional<RouterWeights> router;  ///< of a mixture
  std::vector<float> sinks;
  std::optional<kernel::Xielu> xielu;                ///< of the activation
  float scale = 1.0f;                                ///< of what the block puts out
  std::optional<DeltaWeights> delta;                 ///< read when it is first needed
  std::optional<MambaWeights> mamba;                 ///< likewise
  std::optional<SelectiveWeights> selective;         ///< likewise
  std::vector<float> convolution, convolution_bias;  ///< (hidden, kernel), (hidden) of a short convolution; likewise
};

}  // namespace strata::engine
