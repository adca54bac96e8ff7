// Copying what an output takes over byte for byte: tensors that are carried, and the files beside the weights.
// Neither is held in memory as a whole.
#pragma once
#include <filesystem>
#include <string>

#include "model/model.h"
#include "pipeline/output/part_writer.h"
#include "pipeline/plan/target.h"

namespace strata::pipeline {

/// Posts a tensor's bytes as they lie in the source. The model must outlive the writer's disk.
void copy_tensor(const model::Model& model, const std::string& name, PartWriter& writer);

/// Writes the companion to `path`, whose folder is made where it is missing; the file appears complete or not at all.
/// Throws Error when the companion's size is no longer the one that was planned with.
void copy_companion(const model::Companion& companion, const std::filesystem::path& path);

/// Sentences, a line each, on what happens to the model's parts that are not run, and on a sliding window that a GGUF
/// file does not have; empty when there is nothing of these.
std::string carried_note(const model::Model& model, const Target& target);

}  // namespace strata::pipeline
