// ggml's tensor types as bytes: the weights of whole blocks as f32, for files that are read and for the codecs.
// Layouts: docs/formats/gguf.md. Decoding is equal bit for bit to the gguf package's.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace strata::codec {

/// The levels of IQ4_NL and IQ4_XS, by code (ggml: kvalues_iq4nl).
inline constexpr std::array<float, 16> kIq4Levels = {-127.f, -104.f, -83.f, -65.f, -49.f, -35.f, -22.f, -10.f,
                                                     1.f,    13.f,   25.f,  38.f,  53.f,  69.f,  89.f,  113.f};

// Each decodes `blocks` blocks into f32. Total: any bytes decode.
void decode_f32(const std::byte* in, std::size_t blocks, float* out);
void decode_f16(const std::byte* in, std::size_t blocks, float* out);
void decode_bf16(const std::byte* in, std::size_t blocks, float* out);
void decode_q8_0(const std::byte* in, std::size_t blocks, float* out);
void decode_q4_0(const std::byte* in, std::size_t blocks, float* out);
void decode_q4_1(const std::byte* in, std::size_t blocks, float* out);
void decode_q5_0(const std::byte* in, std::size_t blocks, float* out);
void decode_q5_1(const std::byte* in, std::size_t blocks, float* out);
void decode_q4_k(const std::byte* in, std::size_t blocks, float* out);
void decode_q5_k(const std::byte* in, std::size_t blocks, float* out);
void decode_q6_k(const std::byte* in, std::size_t blocks, float* out);
void decode_q2_k(const std::byte* in, std::size_t blocks, float* out);
void decode_q3_k(const std::byte* in, std::size_t blocks, float* out);
void decode_iq4_nl(const std::byte* in, std::size_t blocks, float* out);
void decode_iq4_xs(const std::byte* in, std::size_t blocks, float* out);
void decode_iq3_s(const std::byte* in, std::size_t blocks, float* out);
void decode_iq3_xxs(const std::byte* in, std::size_t blocks, float* out);
void decode_iq2_s(const std::byte* in, std::size_t blocks, float* out);
void decode_iq2_xs(const std::byte* in, std::size_t blocks, float* out);
void decode_iq2_xxs(const std::byte* in, std::size_t blocks, float* out);
void decode_iq1_s(const std::byte* in, std::size_t blocks, float* out);
void decode_iq1_m(const std::byte* in, std::size_t blocks, float* out);
void decode_tq1_0(const std::byte* in, std::size_t blocks, float* out);
void decode_tq2_0(const std::byte* in, std::size_t blocks, float* out);
void decode_mxfp4(const std::byte* in, std::size_t blocks, float* out);
void decode_nvfp4(const std::byte* in, std::size_t blocks, float* out);

}  // namespace strata::codec
