// Under which names a folder's configuration says what codec a module has, and which modules have none.
// docs/formats/compressed-tensors.md ("Names of modules").
#pragma once
#include <string>
#include <vector>

#include "format/compressed_tensors.h"
#include "model/model.h"
#include "pipeline/output/output.h"

namespace strata::pipeline {

/// Whether runtimes may name the modules otherwise than the file does: a model of several parts ("vision_config" beside
/// the text model), or a text model whose names do not begin with "model.".
bool is_named_otherwise(const model::Model& model);

/// The codec of every linear by the names that runtimes look up. codecs: of each of Architecture::linears.
std::vector<format::ModuleCodec> module_targets(const model::Model& model, const Codecs& codecs);

/// Whether a head that is the embedding is written a second time: no runtime ties what has codes.
bool head_is_apart(const model::Architecture& architecture, const Codecs& codecs);

/// Modules of the text model that runtimes have and that are never quantized: routers, gates of shared experts, the
/// head where it is the embedding.
std::vector<std::string> never_quantized(const model::Model& model, const Codecs& codecs);

}  // namespace strata::pipeline
