// Writing a model as one GGUF file: exact size beforehand, then tensor by tensor, one linear in memory at a time; the
// complete file appears or none. Names, rows and keys: model/gguf_export.h.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "codec/codec.h"
#include "format/gguf_write.h"
#include "model/model.h"

namespace strata::pipeline {

/// What becomes of every matrix. A codec of the family "ggml" is its type; "keep" is `dense`.
struct GgufChoice {
  DType dense = DType::bf16;                   ///< bf16, f16 or f32
  const codec::Codec* embedding = nullptr;     ///< of token_embd; null: dense
  std::vector<const codec::Codec*> linears{};  ///< by index into Architecture::linears; empty: all dense
};

/// A tensor of the file and where it comes from.
struct GgufOrigin {
  std::string hf_name;
  const codec::Codec* codec;             ///< null: dense
  std::size_t linear = model::kNoBlock;  ///< index into Architecture::linears, or kNoBlock
};
struct GgufPlan {
  format::GgufLayout layout;
  std::vector<GgufOrigin> origins;  ///< as layout.tensors
  std::uint64_t total_bytes() const { return layout.file_bytes; }
};
/// Throws Error for what llama.cpp cannot express (model::gguf_keys).
GgufPlan plan_gguf(const model::Model& model, const GgufChoice& choice);

/// The stored form of a linear, or of the embedding (kNoBlock), in Hugging Face's order of rows.
using EncodeLinear = std::function<const codec::Stored&(std::size_t linear, const codec::Codec& codec)>;
/// Writes the file and returns its bytes. Throws Error for weights that are not finite or do not fit in float16, a full
/// disk, an existing file unless `overwrite`.
std::uint64_t write_gguf(const model::Model& model, const GgufPlan& plan, const std::filesystem::path& output,
                         bool overwrite, const EncodeLinear& encode);

/// The number of a GGUF type that a codec of the family "ggml" writes.
std::uint32_t ggml_type_of(const codec::Codec& codec);

}  // namespace strata::pipeline
