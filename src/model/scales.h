// The factors of a forward pass, as data.
// They are a part of Architecture.
#pragma once

namespace strata::model {

/// Factors of the forward pass. A factor of 1 costs nothing.
struct Scales {
  float embedding = 1.0f;  ///< of the embedding's rows
  float attention = 1.0f;  ///< of the products of q and k: 1 / sqrt(head_dim) unless the family has another
  float residual = 1.0f;   ///< of what each half of a block adds to the residual stream
  float logits = 1.0f;     ///< of what lm_head puts out
  bool operator==(const Scales&) const = default;
};

}  // namespace strata::model
