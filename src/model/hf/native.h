// Weights of a Place as the layers above take them: a view where rows lie in order, values of their own otherwise, or
// the tensors of a codec that holds exactly what the file does.
#pragma once
#include "model/hf/places.h"
#include "model/model.h"

namespace strata::model {

/// Dense weights of a matrix: in the file's type where that is dense, else decoded to f32.
LinearWeights weights_of(const Place& place);
/// Weights of a codec as f32.
LinearWeights decoded(const codec::Stored& stored);
/// The codec that has the same bits as the file: MLX's own, mxfp4 for MXFP4, fp8_channel for FP8 with a scale a row
/// that BF16 holds exactly, fp8_groups for FP8 in blocks of 128 columns. nullptr for all others.
const codec::Codec* native_codec_of(const Place& place);
/// The tensors of a place that has a native codec.
codec::Stored native_of(const Place& place);
/// Bytes of a place's weights that do not stay in the file while they are used: native_of's codes do, weights_of's
/// where their rows lie in order.
std::uint64_t copied_bytes_of(const Place& place);

}  // namespace strata::model
