// The keys of a mixture of experts in a GGUF file. llama.cpp, conversion/*.py and gguf-py/gguf/constants.py.
#pragma once
#include <string>

#include "core/json.h"
#include "format/gguf.h"
#include "format/gguf_write.h"
#include "model/gguf/families.h"

namespace strata::model {

/// Adds the keys of an architecture's experts to a GGUF file's; nothing for a dense architecture.
void add_expert_keys(format::GgufKeys& keys, const GgufFamily& row, const Architecture& architecture);
/// Writes what a GGUF file's keys say of experts into config.json. Throws Error for a kind of scores that the family
/// does not have.
void add_expert_config(json& config, const format::GgufFile& gguf, const GgufFamily& row, const Family& family,
                       const std::string& where);
/// Whether the keys say that a file's experts are scored as the family's are; true where no key says it.
bool scores_alike(const format::GgufFile& gguf, const GgufFamily& row, const Family& family);
/// Whether a file has a shared expert as the family has, where llama.cpp has both kinds of models under one name; true
/// elsewhere.
bool shared_alike(const format::GgufFile& gguf, const GgufFamily& row, const Family& family);
/// Whether a GGUF file has experts.
bool has_experts(const format::GgufFile& gguf);

}  // namespace strata::model
