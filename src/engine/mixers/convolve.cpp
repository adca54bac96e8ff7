// A call of kernel/convolution.h for every sequence of a batch.
#include "engine/mixers/convolve.h"

#include <vector>

#include "core/error.h"
#include "kernel/convolution.h"

namespace strata::engine {

void convolve(const Batch& batch, const TimeConvolution& of, const float* x, std::size_t x_stride, float* out,
              std::size_t out_stride) {
  std::vector<kernel::Convolution> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    float* state = nullptr;
    if (s.cache != nullptr) {
      s.cache->keys[of.block].resize((of.kernel - 1) * of.channels);
      state = s.cache->keys[of.block].data();
    }
    calls.push_back({.x = x + row * x_stride,
                     .x_stride = x_stride,
                     .weight = of.weight,
                     .bias = of.bias,
                     .state = state,
                     .out = out + row * out_stride,
                     .out_stride = out_stride,
                     .tokens = s.tokens,
                     .channels = of.channels,
                     .kernel = of.kernel,
                     .silu = of.silu});
    row += s.tokens;
  }
  kernel::convolution(calls);
}

void convolve_gradient(const Batch& batch, const TimeConvolution& of, const float* x, std::size_t x_stride,
                       const float* dout, std::size_t dout_stride, float* dx, std::size_t dx_stride) {
  std::vector<kernel::ConvolutionGradient> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    STRATA_CHECK(s.cache == nullptr);
    calls.push_back({.x = x + row * x_stride,
                     .x_stride = x_stride,
                     .weight = of.weight,
                     .bias = of.bias,
                     .dout = dout + row * dout_stride,
                     .dout_stride = dout_stride,
                     .dx = dx + row * dx_stride,
                     .dx_stride = dx_stride,
                     .tokens = s.tokens,
                     .channels = of.channels,
                     .kernel = of.kernel,
                     .silu = of.silu});
    row += s.tokens;
  }
  kernel::convolution_gradient(calls);
}

}  // namespace strata::engine
