// Layouts of weights that are no plain linears of a known family: recognized by a tensor's name, for error messages.
// Names are those that transformers, peft, bitsandbytes, AutoGPTQ, AutoAWQ, llm-compressor and torch write.
#pragma once
#include <string_view>

namespace strata::model {

/// What a tensor of this name looks like and what to do about it, as the end of a sentence: "looks like part of an
/// adapter (LoRA): merge it into ..."; empty when the name is like no known layout.
std::string_view layout_of(std::string_view tensor);

}  // namespace strata::model
