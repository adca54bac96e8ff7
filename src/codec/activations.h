// What linears read, as runtimes round it before they multiply: fast kernels multiply codes with codes, so that a model
// whose weights are stored in 8 or 4 bits may have its activations rounded too. Formulas, sources, an example:
// docs/formats/activations.md.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace strata::codec {

struct Variant;

/// How the rows that a linear reads are rounded. A row is rounded on its own, whatever else is in the batch.
struct ActivationRounding {
  enum class Kind : std::uint8_t {
    none,         ///< the kernel reads them as they are
    unknown,      ///< they are declared to be rounded in a way that is not imitated: read as they are
    int8_token,   ///< integers of 8 bits, a scale a row
    e4m3_token,   ///< FP8, a scale a row
    e4m3_groups,  ///< FP8, a scale for every 128 values
    e4m3_tensor,  ///< FP8, a scale for all rows, which the checkpoint holds
    nvfp4,        ///< E2M1, an E4M3 scale for every 16 values over a divisor that the checkpoint holds
    mxfp4,        ///< E2M1, a power of two for every 32 values
    mxfp8,        ///< FP8, a power of two for every 32 values
  };
  Kind kind = Kind::none;
  /// e4m3_tensor: what a code of 1 stands for. nvfp4: the divisor of the scales. Positive and finite; 1 for others.
  float scale = 1.0f;

  bool rounds() const { return kind != Kind::none && kind != Kind::unknown; }
  bool operator==(const ActivationRounding&) const = default;
};

/// Whether the scale is the checkpoint's: e4m3_tensor and nvfp4.
constexpr bool has_fixed_scale(ActivationRounding::Kind kind) {
  return kind == ActivationRounding::Kind::e4m3_tensor || kind == ActivationRounding::Kind::nvfp4;
}
/// The fixed scale under which `largest`, the largest magnitude of all inputs, is the largest number of the format; 1
/// where that is not a positive number with a finite reciprocal.
float fixed_scale(ActivationRounding::Kind kind, float largest);

/// "fp8 by token", for people and eval.json.
std::string_view name_of(ActivationRounding::Kind kind);

/// out[i] = the value of the code of row[i]; both have the same size, and may be the same. A row with a value that is
/// not finite becomes NaN throughout, so that nobody takes it for a sound one. rounding.rounds() holds. Every variant
/// gives the same bits.
void round_activations(const Variant& variant, const ActivationRounding& rounding, std::span<const float> row,
                       std::span<float> out);
/// The same by the fastest variant for this CPU.
void round_activations(const ActivationRounding& rounding, std::span<const float> row, std::span<float> out);

}  // namespace strata::codec
