// Which files of a repository are fetched: what a model needs, or what a person asks for.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "hub/repository.h"

namespace strata::hub {

struct Selection {
  std::vector<RemoteFile> taken, left;
};

/// include: patterns of a shell, of which `*` matches slashes too, as in huggingface_hub; a file that matches any is
/// taken, and no other. Without patterns: configuration, tokenizer, templates, code, licence and card; the safetensors,
/// else the .bin files, else the only GGUF model there is. A GGUF model in parts is taken whole where its first part
/// is. Throws Error, which lists what there is, where nothing matches a pattern and where one of several GGUF models
/// must be named; `where` opens its sentence.
Selection select(std::span<const RemoteFile> files, std::span<const std::string> include, const std::string& where);

}  // namespace strata::hub
