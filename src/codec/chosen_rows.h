// Rows of weights whose parameters or codes are chosen outside of the codec, by error feedback say: rounding, decoding
// and packing by the fastest variant for this CPU. Each gives what the codec's round, value and pack give, bit for bit.
#pragma once
#include <cstdint>
#include <span>

#include "codec/codec.h"

namespace strata::codec {

/// The codes of a row, by Codec::round or round_vector. importance: as weights, or empty.
void round_row(const Codec&, std::span<const float> weights, std::span<const float> importance,
               std::span<const GroupParams> groups, std::span<std::uint8_t> codes);
/// The weights of a row's codes, by Codec::value.
void values_row(const Codec&, std::span<const std::uint8_t> codes, std::span<const GroupParams> groups,
                std::span<float> weights);
/// Codec::pack.
void pack_rows(const Codec&, Stored& out, std::size_t row, std::size_t count, const std::uint8_t* codes,
               const GroupParams* groups, float tensor_scale);

}  // namespace strata::codec
