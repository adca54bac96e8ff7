// What stands between gate, up and down of a feed-forward part, as data.
// The engine's activation.h computes it.
#pragma once

namespace strata::model {

enum class Activation {
  silu,
  gelu_tanh,
  gelu,            ///< by the error function
  clamped_swiglu,  ///< gpt-oss: Architecture::swiglu
  relu,            ///< of up alone
  relu_squared,    ///< of up alone
  xielu,           ///< of up alone, with numbers that every block has in tensors (TensorNames::xielu)
};

/// gate sigmoid(alpha gate) (up + 1) with gate at most `limit` and up between -limit and limit.
struct Swiglu {
  float limit = 7.0f, alpha = 1.702f;
};

}  // namespace strata::model
