// Writing a model as one GGUF file: exact size beforehand, then tensor by tensor, one linear in memory at a time; the
// complete file appears or none. Names, rows and keys: model/gguf_export.h.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "codec/codec.h"
#include "core/json.h"
#include "format/gguf_write.h"
#include "model/model.h"
#include "pipeline/plan/plan.h"

namespace strata::pipeline {

class StoredParts;

/// What becomes of every matrix. A codec of the family "ggml" is its type; "keep" is `dense`.
struct GgufChoice {
  DType dense = DType::bf16;                   ///< bf16, f16 or f32
  std::vector<const codec::Codec*> linears{};  ///< by index into Architecture::linears; empty: all dense
  std::uint64_t shard_bytes = 0;               ///< of tensors in a file; 0: one file
};

/// What a plan asks for.
GgufChoice gguf_choice(const model::Model& model, const Plan& plan, std::uint64_t shard_bytes);

/// A tensor of the file and where it comes from.
struct GgufOrigin {
  std::string hf_name;
  const codec::Codec* codec;              ///< null: dense
  std::size_t linear = model::kNoLinear;  ///< index into Architecture::linears, or kNoLinear
  std::vector<std::size_t> experts{};     ///< linears that are stacked in it, one after the other; empty: it is one
};
struct GgufPart {
  format::GgufLayout layout;
  std::vector<GgufOrigin> origins;  ///< as layout.tensors
};
struct GgufPlan {
  std::vector<GgufPart> parts;  ///< one file each; the first has all metadata
  std::uint64_t total_bytes() const;
};
/// Throws Error for what llama.cpp cannot express (model::gguf_keys).
GgufPlan plan_gguf(const model::Model& model, const GgufChoice& choice);

/// The files of a plan: `output` itself, or output-00001-of-0000N.gguf and so on, as llama.cpp looks for them.
std::vector<std::filesystem::path> gguf_files(const GgufPlan& plan, const std::filesystem::path& output);

/// The stored form of a linear in Hugging Face's order of rows.
using EncodeLinear = std::function<std::shared_ptr<const codec::Stored>(std::size_t linear, const codec::Codec& codec)>;
/// As WriteOptions::parts and news.
struct GgufResume {
  StoredParts* parts = nullptr;
  std::function<json()> news = {};
};
/// Writes the files and returns their bytes; the first, which names the others, appears last. Throws Error for weights
/// that are not finite or do not fit in float16, a full disk, an existing file unless `overwrite`.
std::uint64_t write_gguf(const model::Model& model, const GgufPlan& plan, const std::filesystem::path& output,
                         bool overwrite, const EncodeLinear& encode, const GgufResume& resume = {});
/// The linears that a tensor holds: none, one, or a block's experts one after the other.
std::vector<std::size_t> linears_of(const GgufOrigin& origin);
/// A linear of tensor `tensor` in a file written as this part, complete or not yet.
codec::Stored read_gguf_linear(const model::Model& model, const GgufPart& part, std::size_t tensor, std::size_t linear,
                               const std::filesystem::path& file);

}  // namespace strata::pipeline
