// Fuzzes parse_architecture: any config.json gives an architecture that can be used, or Error.
// Absurd sizes are allowed to be large, not to be executed: only what needs no memory by size is asked for.
#include <cstdint>
#include <cstdlib>

#include "model/architecture.h"

using namespace strata;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const json config = parse_json({reinterpret_cast<const char*>(data), size}, "input");
    const model::Architecture a = model::parse_architecture(config, "input");
    if (a.attention.size() != a.blocks || a.layout.size() != a.blocks) std::abort();
    for (std::size_t b = 0; b < a.blocks; ++b)
      if (a.block_linears(b).front().block != b || a.block_linears(b).back().block != b) std::abort();
    if (a.head_dim <= 4096) (void)model::inverse_frequencies(a.ropes.front(), a.max_position);
    (void)a.block_linear_weights();
  } catch (const Error&) {
    return 0;
  }
  return 0;
}
