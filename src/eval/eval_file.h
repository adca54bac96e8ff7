// eval.json: what was measured, of which models, on which text. Its schema is in docs/files.md.
// Every model is named with its fingerprint, so that no reader can take a file for that of another model.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "eval/evaluate.h"
#include "model/model.h"

namespace strata::eval {

/// Which model figures are of.
struct ModelName {
  std::string path;         ///< as given
  std::string fingerprint;  ///< Model::fingerprint

  static ModelName of(const model::Model& model);
  json to_json() const;
};

struct EvalFile {
  std::vector<ModelName> models;
  std::vector<Evaluation> evaluations;  ///< one for each of `models`; empty when there was no text
  std::vector<json> tasks;            ///< for each of `models` its figures in tasks, a list; empty when there were none
  std::optional<ModelName> original;  ///< what they were compared with
  json text;                          ///< EvalText::describe; null when there was none
  std::string precision, command;     ///< "f32" or "bf16"; what was typed
  double seconds = 0.0;

  /// One model: its figures beside everything else. Several: a list `models` in their place.
  json to_json() const;
};

/// The figures of one model with `model`, and `ref_model` where there was an original: how a report keeps them.
json entry_of(const Evaluation& evaluation, const ModelName& model, const std::optional<ModelName>& original);

/// That entry for the model with this fingerprint, out of an eval.json, with the file's `text` and `command`. The file
/// is hostile. Throws Error naming `where` when it is no evaluation, names no fingerprints (as older versions did), or
/// is of other models only; the sentence says how to evaluate `path`, the model that is asked for.
json entry_from(const json& file, const std::string& fingerprint, const std::string& path, const std::string& where);

}  // namespace strata::eval
