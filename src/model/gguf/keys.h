// Keys of GGUF files that several rooms here read or write, behind the architecture's name.
// llama.cpp, gguf-py/gguf/constants.py.
#pragma once

namespace strata::model::gguf_key {

inline constexpr const char* kWidth = ".feed_forward_length";  ///< of all blocks, or of each
inline constexpr const char* kKvHeads = ".attention.head_count_kv";
inline constexpr const char* kKeyLength = ".attention.key_length";
inline constexpr const char* kValueLength = ".attention.value_length";
inline constexpr const char* kWindowPattern =
    ".attention.sliding_window_pattern";  ///< of each block whether it has one
inline constexpr const char* kTheta = ".rope.freq_base";
inline constexpr const char* kWindowTheta = ".rope.freq_base_swa";
inline constexpr const char* kTurned = ".rope.dimension_count";
inline constexpr const char* kWindowTurned = ".rope.dimension_count_swa";
/// Sizes of Mamba-2, and of gated delta nets: the size of a state's keys, how many heads of keys there are, how many of
/// values, and all values together.
inline constexpr const char* kKernel = ".ssm.conv_kernel";
inline constexpr const char* kState = ".ssm.state_size";
inline constexpr const char* kGroups = ".ssm.group_count";
inline constexpr const char* kStateHeads = ".ssm.time_step_rank";
inline constexpr const char* kInner = ".ssm.inner_size";

}  // namespace strata::model::gguf_key
