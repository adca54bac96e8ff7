// What is there for each family of models: asked of the tables and of the code that would run it, never listed by hand.
// docs/families.md is this table.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace strata::pipeline {

struct FamilySupport {
  std::string_view model_type;
  std::vector<std::string_view> also{};    ///< other values of model_type: wrappers and their text models
  std::vector<std::string_view> mixers{};  ///< what its blocks have before the feed-forward part
  bool dense = false, experts = false, shared_expert = false;  ///< which kinds of blocks its models have
  std::string why_no_tune;           ///< why the first block that cannot be tuned cannot; empty when all can
  bool tunes_some = false;           ///< there are blocks that can be tuned
  std::string_view gguf;             ///< llama.cpp's name; empty where GGUF files are neither read nor written
  bool mlx = false;                  ///< folders for mlx_lm are written
  bool coded_embedding = false;      ///< vLLM looks the embedding up in codes
  std::vector<std::string> fused{};  ///< what must share one codec in vLLM: "qkv_proj", "experts"
};

/// A row for each family, by name, of a model with the family's own defaults. Score, eval, plan, quantize by
/// rtn, and report are there for all of them.
std::vector<FamilySupport> family_support();

/// An object with a list "families"; `tune` of a family is true, or why its first block that cannot be tuned cannot.
json to_json(const std::vector<FamilySupport>& families);
/// A heading and a row of texts for each family.
std::vector<std::vector<std::string>> to_rows(const std::vector<FamilySupport>& families);

}  // namespace strata::pipeline
