// The table alone.
#include "format/declared_activations.h"

#include <array>

namespace strata::format {
namespace {

using enum codec::ActivationRounding::Kind;

constexpr auto kActivations = std::to_array<DeclaredActivations>({
    {8, "int", "token", "true", 0, int8_token},
    {8, "float", "token", "true", 0, e4m3_token},
    {8, "float", "group", "true", 128, e4m3_groups},
    {8, "float", "tensor", "false", 0, e4m3_tensor},
    {4, "float", "tensor_group", "local", 16, nvfp4},
    {4, "float", "group", "true", 32, mxfp4},
    {8, "float", "group", "true", 32, mxfp8},
});

}  // namespace

std::span<const DeclaredActivations> declared_activations() { return kActivations; }

}  // namespace strata::format
