// The mixer of gated short convolutions: what o reads is made of the last few tokens. transformers: Lfm2ShortConv of
// modeling_lfm2.py.
#include "engine/engine.h"
#include "engine/mixers/convolve.h"
#include "engine/scale.h"
#include "kernel/gates.h"
#include "model/tensors.h"

namespace strata::engine {

const float* Engine::mix_convolution(BlockWeights& w, std::size_t block, const Batch& batch, const float* x,
                                     const Observer*, Site) {
  const model::Architecture& a = architecture_;
  const std::size_t tokens = batch.tokens, size = a.hidden, kernel = a.convolution.kernel;
  const auto read = [&](const char* part, std::size_t count) {
    return model_.vector(model::kept_name(a, block, part), count);
  };
  if (w.convolution.empty()) w.convolution = read("conv.weight", size * kernel);
  if (a.convolution.bias && w.convolution_bias.empty()) w.convolution_bias = read("conv.bias", size);
  const float* all = multiply_fused(w, a.index(block, model::Role::in_bcx), x, tokens);
  float *const b = sized(q_, tokens * size), *const c = sized(k_, tokens * size), *const u = sized(v_, tokens * size);
  take_columns(all, tokens, 3 * size, 0, size, b);
  take_columns(all, tokens, 3 * size, size, size, c);
  take_columns(all, tokens, 3 * size, 2 * size, size, u);
  kernel::multiply(b, u, tokens * size, u);
  float* const mixed = sized(attended_, tokens * size);
  const float* const bias = a.convolution.bias ? w.convolution_bias.data() : nullptr;
  convolve(batch, {block, w.convolution.data(), bias, size, kernel, false}, u, size, mixed, size);
  kernel::multiply(c, mixed, tokens * size, mixed);
  return mixed;
}

}  // namespace strata::engine
