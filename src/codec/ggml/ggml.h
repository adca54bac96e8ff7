// What the files of the GGUF types share: their table, the fit of a block or super-block, and the storing of bits.
// Byte layouts and formulas: docs/formats/gguf.md.
#pragma once
#include <cstddef>
#include <cstdint>

#include "codec/ggml/storage.h"
#include "codec/group_params.h"
#include "codec/variant.h"

namespace strata::codec {

/// A type whose weights are rounded one by one. A block of block_weights has one d (and dmin), float16. A super-block's
/// groups have integer codes besides: scale = d * scale_code, min = dmin * min_code. Without them (scale_most == 0)
/// scale is d and min the block's own.
struct GgmlType {
  GgmlLayout layout;
  Levels levels;  ///< code c stands for levels.lowest + c, or entry c of kIq4Levels
  MinSign sign = MinSign::none;
  int scale_least = 0, scale_most = 0, min_most = 0;
  bool super() const { return scale_most != 0; }
  std::size_t group_size() const { return layout.group_size; }
  std::size_t groups() const { return layout.groups(); }
};

/// The parameters of the groups of one block, as stored. importance: as weights; not read for ScaleFit::minmax.
void fit_block(const Variant& variant, const GgmlType& type, const float* weights, const float* importance,
               ScaleFit fit, GroupParams* groups);

// Shared by the searches of fit.cpp and vector_fit.cpp.
/// The nearest float16, finite; 0 for NaN.
float half_of(float value);
/// The float16 `steps` away from a float16, in magnitude; zero and infinity are not reached.
float half_beside(float half, int steps);
/// Importance that a search can divide by: a share of the mean on every weight, and ones where all is zero.
void usable_importance(const float* importance, std::size_t count, float* out);

// Functions that store the codes, or the scales and mins, of a block. Each writes its own bits only.
void store_codes_q8_0(const std::uint8_t* codes, unsigned char* block);
void store_codes_q4_0(const std::uint8_t* codes, unsigned char* block);
void store_codes_q4_1(const std::uint8_t* codes, unsigned char* block);
void store_codes_q5_0(const std::uint8_t* codes, unsigned char* block);
void store_codes_q5_1(const std::uint8_t* codes, unsigned char* block);
void store_codes_q2_k(const std::uint8_t* codes, unsigned char* block);
void store_codes_q3_k(const std::uint8_t* codes, unsigned char* block);
void store_codes_q4_k(const std::uint8_t* codes, unsigned char* block);
void store_codes_q5_k(const std::uint8_t* codes, unsigned char* block);
void store_codes_q6_k(const std::uint8_t* codes, unsigned char* block);
void store_codes_iq4_xs(const std::uint8_t* codes, unsigned char* block);
void store_codes_tq2_0(const std::uint8_t* codes, unsigned char* block);
void store_codes_tq1_0(const std::uint8_t* codes, unsigned char* block);
void store_scale(const GroupParams* groups, unsigned char* block);          ///< q8_0 q4_0 q5_0 iq4_nl
void store_scale_and_min(const GroupParams* groups, unsigned char* block);  ///< q4_1 q5_1
void store_groups_q2_k(const GroupParams* groups, unsigned char* block);
void store_groups_q3_k(const GroupParams* groups, unsigned char* block);
void store_groups_q45_k(const GroupParams* groups, unsigned char* block);  ///< q4_k q5_k
void store_groups_q6_k(const GroupParams* groups, unsigned char* block);
void store_scale_tq2_0(const GroupParams* groups, unsigned char* block);
void store_scale_tq1_0(const GroupParams* groups, unsigned char* block);
void store_groups_iq4_xs(const GroupParams* groups, unsigned char* block);

}  // namespace strata::codec
