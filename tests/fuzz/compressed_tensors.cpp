// Fuzzes QuantizationScheme::parse: any JSON gives a scheme or Error, and so does asking it for modules.
// Patterns from the file are matched with names that provoke backtracking.
#include "format/compressed_tensors.h"

#include "core/error.h"

using namespace strata;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const json config = parse_json({reinterpret_cast<const char*>(data), size}, "input");
    const auto scheme = format::QuantizationScheme::parse(config, "input");
    for (const std::string& module :
         {std::string("lm_head"), std::string("model.layers.10.self_attn.q_proj"), std::string(100, 'a') + "!"}) {
      try {
        (void)scheme.codec_of(module);
      } catch (const Error&) {
        continue;
      }
    }
  } catch (const Error&) {
    return 0;
  }
  return 0;
}
