// A file appears whole or not at all, so one that is there is trusted. Its line in the journal makes the folder worth
// keeping. Numbers survive exactly: JSON holds doubles in full, and inputs are raw floats.
#include "pipeline/job/stages.h"

#include <cstring>

#include "core/file.h"

namespace strata::pipeline {
namespace {
constexpr const char* kScores = "scores.json";
constexpr const char* kMeanSquares = "inputs.f32";
constexpr const char* kPlan = "plan.json";
}  // namespace

std::filesystem::path Stages::file(const std::string& name) const {
  return job_ == nullptr ? std::filesystem::path() : job_->file(name);
}

void Stages::note(const std::string& stage) const { job_->append({{"stage", stage}}); }

importance::CalibrationSet Stages::calibration(const std::string& name,
                                               const std::function<importance::CalibrationSet()>& make) const {
  if (has(name)) {
    const std::string where = file(name).string();
    const json value = read_json_file(file(name));
    auto source = importance::CalibrationSource::from_json(get<json>(value, "source", where), where);
    return importance::calibration_from_tokens(get<std::vector<std::vector<engine::Token>>>(value, "tokens", where),
                                               std::move(source));
  }
  importance::CalibrationSet set = make();
  if (job_ != nullptr) {
    write_text_file(file(name), json_text(json{{"source", set.source.to_json()}, {"tokens", set.sequences}}));
    note(name);
  }
  return set;
}

json Stages::kept(const std::string& name, const std::function<json()>& make) const {
  if (has(name)) return read_json_file(file(name));
  json value = make();
  if (job_ != nullptr) {
    write_json_file(file(name), value);
    note(name);
  }
  return value;
}

std::optional<importance::Scores> Stages::scores() const {
  if (!has(kScores)) return std::nullopt;
  return importance::Scores::from_json(read_json_file(file(kScores)), model_, file(kScores).string());
}

void Stages::keep_scores(const importance::Scores& scores) const {
  if (job_ == nullptr) return;
  write_json_file(file(kScores), scores.to_json());
  note(kScores);
}

std::vector<std::vector<float>> Stages::inputs() const {
  if (!has(kMeanSquares)) return {};
  const MappedFile kept(file(kMeanSquares));
  std::vector<std::vector<float>> inputs;
  std::size_t at = 0;
  for (const model::Linear& linear : model_.architecture().linears) {
    const std::size_t size = linear.cols * sizeof(float);
    if (kept.bytes().size() - at < size) fail("{}: is cut; use --restart to begin again", file(kMeanSquares).string());
    inputs.emplace_back(linear.cols);
    std::memcpy(inputs.back().data(), kept.bytes().data() + at, size);
    at += size;
  }
  return inputs;
}

void Stages::keep_inputs(const std::vector<std::vector<float>>& inputs) const {
  if (job_ == nullptr) return;
  std::string bytes;
  for (const std::vector<float>& row : inputs)
    bytes.append(reinterpret_cast<const char*>(row.data()), row.size() * sizeof(float));
  write_text_file(file(kMeanSquares), bytes);
  note(kMeanSquares);
}

bool Stages::plan(PlanResult& result) const {
  if (!has(kPlan)) return false;
  const std::string where = file(kPlan).string();
  const json value = read_json_file(file(kPlan));
  result.plan = Plan::from_json(value, model_, where);
  result.notes = get<std::vector<std::string>>(value, "notes", where);
  result.output_bytes = get<std::uint64_t>(value, "output_bytes", where);
  result.least_version = get_or<std::string>(value, "least_version", "", where);
  result.left_out.clear();
  const json left_out = get<json>(value, "left_out", where);
  for (const auto& [codec, reason] : left_out.items()) result.left_out.push_back({codec, reason.get<std::string>()});
  return true;
}

void Stages::keep_plan(const PlanResult& result) const {
  if (job_ == nullptr) return;
  json value = result.plan.to_json();
  value["notes"] = result.notes;
  value["output_bytes"] = result.output_bytes;
  value["least_version"] = result.least_version;
  value["left_out"] = json::object();
  for (const LeftOut& item : result.left_out) value["left_out"][item.codec] = item.reason;
  write_json_file(file(kPlan), value);
  note(kPlan);
}

}  // namespace strata::pipeline
