// Writes eval.json, and finds the figures of a model in one.
// A file without fingerprints is refused: nothing in it says whose figures they are.
#include "eval/eval_file.h"

namespace strata::eval {
namespace {

constexpr const char* kFormat = "strata evaluation";
constexpr int kVersion = 1;

json header() { return {{"format", kFormat}, {"version", kVersion}}; }

std::string command_for(const std::string& path) {
  return fmt::format("`strata eval {} --ref MODEL --text FILE -o eval.json`", path);
}

std::string fingerprint_of(const json& entry, const char* key, const std::string& where) {
  const json name = get<json>(entry, key, where);
  if (!name.is_object()) fail("{}: '{}' is {}, expected an object", where, key, brief(name));
  return get<std::string>(name, "fingerprint", where);
}

void check_format(const json& file, const std::string& path, const std::string& where) {
  const auto format = file.is_object() ? get_or<std::string>(file, "format", "", where) : "";
  const bool older = format.empty() && file.is_object() && (file.contains("perplexity") || file.contains("models"));
  if (older)
    fail("{}: does not say which model it is of, since an older strata wrote it; evaluate again: {}", where,
         command_for(path));
  if (format != kFormat) fail("{}: is not an evaluation; make one with {}", where, command_for(path));
  if (const int version = get<int>(file, "version", where); version != kVersion)
    fail("{}: has version {}, and this program reads {}; evaluate again: {}", where, version, kVersion,
         command_for(path));
}

}  // namespace

ModelName ModelName::of(const model::Model& model) { return {model.path().string(), model.fingerprint()}; }

json ModelName::to_json() const { return {{"path", path}, {"fingerprint", fingerprint}}; }

json EvalFile::to_json() const {
  STRATA_CHECK(!models.empty() && (evaluations.empty() || models.size() == evaluations.size()) &&
                   (tasks.empty() || models.size() == tasks.size()),
               "{} models, {} evaluations, {} with tasks", models.size(), evaluations.size(), tasks.size());
  json value = header(), entries = json::array();
  for (std::size_t m = 0; m < models.size(); ++m) {
    json entry =
        evaluations.empty() ? json{{"model", models[m].to_json()}} : entry_of(evaluations[m], models[m], std::nullopt);
    if (!tasks.empty()) entry["tasks"] = tasks[m];
    entries.push_back(std::move(entry));
  }
  if (models.size() == 1)
    value.update(entries[0]);
  else
    value["models"] = std::move(entries);
  if (original) value["ref_model"] = original->to_json();
  value["text"] = text;
  value["precision"] = precision;
  value["command"] = command;
  value["seconds"] = seconds;
  return value;
}

json entry_of(const Evaluation& evaluation, const ModelName& model, const std::optional<ModelName>& original) {
  json entry = evaluation.to_json();
  entry["model"] = model.to_json();
  if (original) entry["ref_model"] = original->to_json();
  return entry;
}

json entry_from(const json& file, const std::string& fingerprint, const std::string& path, const std::string& where) {
  check_format(file, path, where);
  const auto all = file.contains("models") ? get<std::vector<json>>(file, "models", where) : std::vector<json>(1, file);
  std::string others;
  for (json entry : all) {
    if (!entry.is_object()) fail("{}: an entry of 'models' is {}, expected an object", where, brief(entry));
    if (const std::string of = fingerprint_of(entry, "model", where); of != fingerprint) {
      others += (others.empty() ? "" : ", ") + get_or<std::string>(entry["model"], "path", "", where) + " (" + of + ")";
      continue;
    }
    for (const char* key : {"format", "version", "models"}) entry.erase(key);
    for (const char* key : {"ref_model", "text", "precision", "command"})
      if (file.contains(key)) entry[key] = file[key];
    if (entry.contains("ref_model")) fingerprint_of(entry, "ref_model", where);
    if (!entry.contains("tasks")) get<double>(entry, "perplexity", where);
    return entry;
  }
  fail("{}: is the evaluation of {}, and {} has the fingerprint {}; give its own, made with {}", where,
       others.empty() ? "no model" : others, path, fingerprint, command_for(path));
}

}  // namespace strata::eval
