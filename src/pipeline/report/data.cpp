// Gathers the parts of a report, and refuses those that belong to another model.
// Values are given by linear, group or block, in the model's order, and "linears" says where each linear stands: the
// page needs no knowledge of any family.
#include "pipeline/report/data.h"

#include <algorithm>

#include "core/file.h"
#include "model/model_name.h"
#include "pipeline/report/missing.h"
#include "pipeline/report/page.h"
#include "pipeline/report/score_parts.h"
#include "pipeline/report/stored_codecs.h"
#include "pipeline/report/text_in.h"

namespace strata::pipeline {
namespace {

constexpr const char* kReportFormat = "strata report";
constexpr int kReportVersion = 1;
/// The costs of the preset prior follow rules: nothing was measured, so a report shows none of them.
constexpr const char* kRules = "prior";

double bits_of(std::uint64_t bytes, std::uint64_t weights) {
  return weights == 0 ? 0.0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

json block_or_null(std::size_t block) { return block == model::kNoBlock ? json() : json(block); }

json grid(const model::Architecture& a) {
  json roles = json::array(), groups = json::array(), linears = json::array();
  for (const model::Linear& linear : a.linears) {
    const json role = model::role_name(linear.role);
    if (std::ranges::find(roles, role) == roles.end()) roles.push_back(role);
    linears.push_back({{"module", linear.module},
                       {"block", block_or_null(linear.block)},
                       {"role", role},
                       {"group", linear.group},
                       {"weights", linear.rows * linear.cols}});
  }
  for (const model::FusionGroup& group : a.groups)
    groups.push_back({{"name", group.name}, {"block", block_or_null(group.block)}});
  return {{"blocks", a.blocks}, {"roles", roles}, {"groups", groups}, {"linears", linears}};
}

std::string fingerprint_in(const json& value, const char* part) { return text_in(value, part, "fingerprint"); }

json point_json(const TradeOff::Point& point) {
  return {{"bytes", point.bytes}, {"bits", point.bits}, {"cost", point.cost}};
}

}  // namespace

ReportData::ReportData() : value_{{"format", kReportFormat}, {"version", kReportVersion}} {}

ReportData ReportData::read(const std::filesystem::path& path) {
  json value = read_json_file(path);
  const std::string where = path.string();
  if (!value.is_object() || get_or<std::string>(value, "format", "", where) != kReportFormat)
    fail("{}: is not the data of a report; delete it, or quantize again", where);
  if (const int version = get<int>(value, "version", where); version != kReportVersion)
    fail("{}: has version {}, and this program reads {}; quantize again", where, version, kReportVersion);
  for (const char* part : {"model", "grid", "plan", "output", "pareto", "judge", "sweep", "texts"})
    if (value.contains(part) && !value[part].is_object()) fail("{}: '{}' is not an object", where, part);
  for (const char* part : {"signals", "evaluations"})
    if (value.contains(part) && !value[part].is_array()) fail("{}: '{}' is not a list", where, part);
  if (value.contains("evaluations")) {
    json& list = value["evaluations"];
    const std::string output = fingerprint_in(value, "output");
    std::erase_if(list.get_ref<json::array_t&>(),
                  [&](const json& entry) { return output.empty() || fingerprint_in(entry, "model") != output; });
    if (list.empty()) value.erase("evaluations");
  }
  return ReportData(std::move(value));
}

void ReportData::set_model(const model::Model& model) {
  const model::Architecture& a = model.architecture();
  const std::string where = model.path().string(), known = original_fingerprint();
  if (!known.empty() && known != model.fingerprint())
    fail("{}: is not the original of {} (fingerprint {}, expected {}); name the model that it was made from", where,
         value_.contains("output") ? text_in(value_, "output", "path") : "this report", model.fingerprint(), known);
  if (known.empty() && value_.contains("grid") && value_["grid"]["linears"] != grid(a)["linears"])
    fail("{}: is not the original of {}, which has other linears; name the model that it was made from", where,
         text_in(value_, "output", "path"));
  std::uint64_t bytes = 0;
  for (const model::TensorInfo& tensor : model.tensors()) bytes += tensor.bytes;
  value_["model"] = {{"name", model::model_name(model.path())},
                     {"path", where},
                     {"fingerprint", model.fingerprint()},
                     {"model_type", a.model_type},
                     {"tensor_bytes", bytes}};
  value_["grid"] = grid(a);
}

void ReportData::set_plan(const Plan& plan, const model::Architecture& a, const std::string& command) {
  STRATA_CHECK(plan.groups.size() == a.groups.size(), "{} groups for {}", plan.groups.size(), a.groups.size());
  const bool measured = !plan.cost_signal.empty() && plan.cost_signal != kRules;
  json groups = json::array();
  double block_cost = 0;
  for (const PlannedGroup& group : plan.groups) {
    if (group.in_block) block_cost += group.cost;
    groups.push_back({{"codec", group.codec->name},
                      {"bytes", group.bytes},
                      {"weights", group.weights},
                      {"bits", bits_of(group.bytes, group.weights)},
                      {"cost", measured ? json(group.cost) : json()}});
    if (group.as_in_source != 0) groups.back()["as_in_source"] = group.as_in_source;
  }
  const std::string method = text_in({{"request", plan.request}}, "request", "method");
  value_["plan"] = {{"target", plan.target},
                    {"preset", plan.preset},
                    {"method", method.empty() ? PlanRequest().method : method},
                    {"bytes", plan.bytes()},
                    {"weights", plan.weights()},
                    {"bits", plan.bits()},
                    {"nominal_bits", plan.nominal_bits()},
                    {"cost", measured ? json(plan.cost()) : json()},
                    {"block_cost", measured ? json(block_cost) : json()},
                    {"cost_signal", measured ? plan.cost_signal : ""},
                    {"groups", std::move(groups)},
                    {"command", command}};
}

void ReportData::set_plan(const model::Model& quantized, const std::string& command) {
  const model::Architecture& a = quantized.architecture();
  if (!value_.contains("grid")) value_["grid"] = grid(a);
  json groups = json::array();
  std::uint64_t all_bytes = 0, all_weights = 0, block_bytes = 0;
  const std::vector<const codec::Codec*> codecs = stored_codecs(quantized);
  for (const model::FusionGroup& group : a.groups) {
    std::uint64_t bytes = 0, weights = 0;
    for (const std::size_t l : group.linears) {
      bytes += quantized.stored_bytes(a.linears[l]);
      weights += a.linears[l].rows * a.linears[l].cols;
    }
    groups.push_back({{"codec", codecs[group.linears.front()]->name},
                      {"bytes", bytes},
                      {"weights", weights},
                      {"bits", bits_of(bytes, weights)},
                      {"cost", json()}});
    all_bytes += bytes;
    all_weights += weights;
    if (group.block != model::kNoBlock) block_bytes += bytes;
  }
  value_["plan"] = {{"bytes", all_bytes},
                    {"weights", all_weights},
                    {"bits", bits_of(block_bytes, a.block_linear_weights())},
                    {"groups", std::move(groups)},
                    {"command", command}};
}

void ReportData::set_output(const std::filesystem::path& path, std::uint64_t bytes, const std::string& fingerprint) {
  value_["output"] = {{"path", path.string()}, {"bytes", bytes}, {"fingerprint", fingerprint}};
}

void ReportData::set_scores(const importance::Scores& scores, const model::Architecture& a,
                            const std::map<std::string, double>& seconds, const std::string& command) {
  value_["signals"] = signals_part(scores, command);
  value_.erase("judge");
  if (json judge = judge_part(scores, a, seconds, command); !judge.is_null()) value_["judge"] = std::move(judge);
}

void ReportData::set_costs(const Costs& costs, const model::Architecture& a) {
  if (!value_.contains("plan") || costs.linears.size() != a.linears.size()) return;
  json& plan = value_["plan"];
  const auto groups = plan.find("groups");
  if (groups == plan.end() || !groups->is_array() || groups->size() != a.groups.size()) return;
  std::vector<double> of_group(a.groups.size(), 0.0);
  double all = 0, in_blocks = 0;
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    const codec::Codec* codec = codec::find(text_in((*groups)[g], "codec"));
    for (const std::size_t l : a.groups[g].linears) {
      const auto cost = costs.linears[l].find(codec);
      if (cost == costs.linears[l].end() && (codec == nullptr || codec->has_codes())) return;
      of_group[g] += cost == costs.linears[l].end() ? 0.0 : cost->second;
    }
    all += of_group[g];
    if (a.groups[g].block != model::kNoBlock) in_blocks += of_group[g];
  }
  for (std::size_t g = 0; g < a.groups.size(); ++g) (*groups)[g]["cost"] = of_group[g];
  plan["cost"] = all;
  plan["block_cost"] = in_blocks;
  plan["cost_signal"] = costs.signal;
}

void ReportData::set_trade_off(const TradeOff& trade_off, const std::string& command) {
  if (trade_off.curve.empty()) return;
  json curve = json::array(), uniform = json::array();
  for (const TradeOff::Point& point : trade_off.curve) curve.push_back(point_json(point));
  for (const TradeOff::Uniform& entry : trade_off.uniform) {
    uniform.push_back(point_json(entry.point));
    uniform.back()["codec"] = entry.codec->name;
  }
  value_["pareto"] = {
      {"cost_signal", trade_off.cost_signal}, {"curve", curve}, {"uniform", uniform}, {"command", command}};
}

void ReportData::add_evaluation(json entry, const std::string& text, const std::string& command,
                                const std::string& where) {
  const std::string output = output_fingerprint(), of = fingerprint_in(entry, "model");
  if (output.empty() || of != output)
    fail("{}: is the evaluation of another model (fingerprint {}, this one has {}); evaluate this one", where, of,
         output);
  if (const std::string original = fingerprint_in(entry, "ref_model"); !original.empty())
    check_original(original, fmt::format("{} (compared with {})", where, text_in(entry, "ref_model", "path")));
  if (const json about = entry.value("text", json()); about.is_object() && about.contains("used_by_calibration"))
    entry["used_by_calibration"] = about["used_by_calibration"];
  entry["text"] = text;
  entry["command"] = command;
  json& list = value_["evaluations"];
  if (!list.is_array()) list = json::array();
  const auto same =
      std::ranges::find_if(list, [&](const json& e) { return e.is_object() && e.value("text", json()) == text; });
  if (same != list.end())
    *same = std::move(entry);
  else
    list.push_back(std::move(entry));
}

void ReportData::set_sweep(const json& sweep, const std::string& where, const std::string& command) {
  if (!sweep.is_object() || get_or<std::string>(sweep, "format", "", where) != "strata sweep")
    fail("{}: is not a sweep; make one with `strata sweep`", where);
  if (const int version = get<int>(sweep, "version", where); version != 1)
    fail("{}: has version {}, and this program reads 1; sweep again", where, version);
  const std::string of = fingerprint_in(sweep, "model");
  if (of.empty()) fail("{}: does not say which model it is of; sweep again", where);
  check_original(of, where);
  value_["sweep"] = sweep;
  value_["sweep"]["command"] = command;
}

void ReportData::set_texts(std::span<const Sample> samples, const std::string& command) {
  json list = json::array();
  for (const Sample& sample : samples)
    list.push_back({{"prompt", sample.prompt}, {"original", sample.original}, {"quantized", sample.quantized}});
  value_["texts"] = {{"samples", std::move(list)}, {"command", command}};
}

std::string ReportData::output_fingerprint() const { return fingerprint_in(value_, "output"); }
std::string ReportData::original_fingerprint() const {
  if (const std::string of_model = fingerprint_in(value_, "model"); !of_model.empty()) return of_model;
  if (const auto list = value_.find("evaluations"); list != value_.end())
    for (const json& entry : *list)
      if (const std::string compared = fingerprint_in(entry, "ref_model"); !compared.empty()) return compared;
  return value_.contains("sweep") ? fingerprint_in(value_["sweep"], "model") : "";
}
void ReportData::check_original(const std::string& fingerprint, const std::string& where) const {
  const std::string known = original_fingerprint();
  if (!known.empty() && fingerprint != known)
    fail(
        "{}: belongs to another original than the rest of this report (fingerprint {}, expected {}{}); give that of "
        "one model",
        where, fingerprint, known,
        value_.contains("model") ? fmt::format(", that of {}", text_in(value_, "model", "path")) : "");
}
std::string ReportData::target() const { return text_in(value_, "plan", "target"); }
std::string ReportData::method() const {
  const std::string name = text_in(value_, "plan", "method");
  return name.empty() ? PlanRequest().method : name;
}

json ReportData::to_json() const {
  json value = value_;
  value["missing"] = missing_parts(value_);
  return value;
}

std::filesystem::path beside(const std::filesystem::path& output, const std::string& suffix) {
  std::filesystem::path path = output.lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // OUT/
  return path += suffix;
}

bool write_report(const ReportData& data, const std::filesystem::path& data_path, const std::filesystem::path& page) {
  const json value = data.to_json();
  if (!data_path.empty()) write_text_file(data_path, json_text(value) + "\n");
  if (report_page().empty()) return false;
  write_text_file(page, render_report(value));
  return true;
}

std::string shell_command(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) {
    const bool plain = !word.empty() && word.find_first_not_of(
                                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "0123456789@%+=:,./_-") == std::string::npos;
    std::string quoted = "'";
    for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
    text += (text.empty() ? "" : " ") + (plain ? word : quoted + "'");
  }
  return text;
}

}  // namespace strata::pipeline
