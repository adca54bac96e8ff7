// The parts of a report. Grids are given by linear, group or block, in the model's order, so that the page needs no
// knowledge of any family: "linears" says where each stands.
#include "pipeline/report/data.h"

#include <algorithm>

#include "core/file.h"
#include "importance/judge.h"
#include "pipeline/report/page.h"

namespace strata::pipeline {
namespace {

constexpr const char* kFormat = "strata report";
constexpr int kVersion = 1;

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

json signal_json(const importance::Signal& signal, const char* of) {
  return {{"name", signal.name},
          {"of", of},
          {"meaning", signal.meaning},
          {"higher_is_important", signal.direction == importance::Direction::higher_is_important}};
}

json values_json(const importance::Signal& signal, const char* of, const importance::ItemScores& scores) {
  json entry = signal_json(signal, of);
  entry["values"] = scores.values;
  if (!scores.standard_errors.empty()) entry["stderr"] = scores.standard_errors;
  return entry;
}

/// A signal that has a value for every codec is drawn at int4_g64, or else at the first codec it was scored with.
json linears_json(const importance::Signal& signal, const std::vector<importance::LinearScores>& scores) {
  const codec::Codec* shown = nullptr;
  for (const importance::LinearScores& linear : scores)
    for (const importance::CodecScore& score : linear.codecs)
      if (score.codec->has_codes() && (shown == nullptr || score.codec->name == std::string_view("int4_g64")))
        shown = score.codec;
  if (shown == nullptr) return {};
  json entry = signal_json(signal, "linear");
  entry["codec"] = shown->name;
  entry["values"] = json::array();
  for (const importance::LinearScores& linear : scores) {
    const auto it = std::ranges::find(linear.codecs, shown, &importance::CodecScore::codec);
    entry["values"].push_back(it == linear.codecs.end() ? json() : json(linear.relative(*it)));
  }
  return entry;
}

json choices_json(const importance::Signal& signal, const std::vector<std::vector<importance::Measurement>>& groups,
                  const codec::Codec& shown) {
  json entry = signal_json(signal, "group");
  entry["codec"] = shown.name;
  entry["values"] = entry["stderr"] = json::array();
  for (const auto& group : groups) {
    const auto it = std::ranges::find(group, &shown, &importance::Measurement::codec);
    entry["values"].push_back(it == group.end() ? json() : json(it->value));
    entry["stderr"].push_back(it == group.end() ? json() : json(it->standard_error));
  }
  return entry;
}

json judge_json(const importance::Scores& scores, const model::Architecture& a,
                const std::map<std::string, double>& seconds) {
  const codec::Codec& codec = importance::judged_codec(scores);
  json rows = json::array();
  for (const importance::Judgement& j : importance::judge(scores, a, codec)) {
    const auto it = seconds.find(j.signal);
    rows.push_back({{"signal", j.signal},
                    {"of", j.level},
                    {"spearman", j.spearman},
                    {"top_quarter", j.top_quarter},
                    {"seconds", it == seconds.end() ? json() : json(it->second)}});
  }
  return {{"codec", codec.name}, {"signals", rows}};
}

/// value[part][key] when it is text, else "".
std::string text_of(const json& value, const char* part, const char* key) {
  const auto it = value.find(part);
  if (it == value.end() || !it->is_object()) return "";
  const auto found = it->find(key);
  return found != it->end() && found->is_string() ? found->get<std::string>() : "";
}

json point_json(const TradeOff::Point& point) {
  return {{"bytes", point.bytes}, {"bits", point.bits}, {"cost", point.cost}};
}

}  // namespace

ReportData::ReportData() : value_{{"format", kFormat}, {"version", kVersion}} {}

ReportData ReportData::read(const std::filesystem::path& path) {
  json value = read_json_file(path);
  const std::string where = path.string();
  if (!value.is_object() || get_or<std::string>(value, "format", "", where) != kFormat)
    fail("{}: is not the data of a report; delete it, or quantize again", where);
  if (const int version = get<int>(value, "version", where); version != kVersion)
    fail("{}: has version {}, and this program reads {}; quantize again", where, version, kVersion);
  for (const char* part : {"model", "grid", "plan", "output", "pareto", "judge", "sweep", "texts"})
    if (value.contains(part) && !value[part].is_object()) fail("{}: '{}' is not an object", where, part);
  for (const char* part : {"signals", "evaluations"})
    if (value.contains(part) && !value[part].is_array()) fail("{}: '{}' is not a list", where, part);
  return ReportData(std::move(value));
}

void ReportData::set_model(const model::Model& model) {
  const model::Architecture& a = model.architecture();
  std::uint64_t bytes = 0;
  for (const model::TensorInfo& tensor : model.tensors()) bytes += tensor.bytes;
  const std::filesystem::path path = std::filesystem::absolute(model.path()).lexically_normal();
  value_["model"] = {{"name", (path.has_filename() ? path : path.parent_path()).filename().string()},
                     {"path", model.path().string()},
                     {"fingerprint", model.fingerprint()},
                     {"model_type", a.model_type},
                     {"tensor_bytes", bytes}};
  value_["grid"] = grid(a);
}

void ReportData::set_plan(const Plan& plan, const model::Architecture& a, const std::string& command) {
  STRATA_CHECK(plan.groups.size() == a.groups.size(), "{} groups for {}", plan.groups.size(), a.groups.size());
  json groups = json::array();
  double block_cost = 0;
  for (const PlannedGroup& group : plan.groups) {
    if (group.in_block) block_cost += group.cost;
    groups.push_back({{"codec", group.codec->name},
                      {"bytes", group.bytes},
                      {"weights", group.weights},
                      {"bits", bits_of(group.bytes, group.weights)},
                      {"cost", group.cost}});
  }
  const std::string method = text_of({{"request", plan.request}}, "request", "method");
  value_["plan"] = {{"target", plan.target},
                    {"preset", plan.preset},
                    {"method", method.empty() ? PlanRequest().method : method},
                    {"bytes", plan.bytes()},
                    {"weights", plan.weights()},
                    {"bits", plan.bits()},
                    {"nominal_bits", plan.nominal_bits()},
                    {"cost", plan.cost_signal.empty() ? json() : json(plan.cost())},
                    {"block_cost", plan.cost_signal.empty() ? json() : json(block_cost)},
                    {"cost_signal", plan.cost_signal},
                    {"groups", std::move(groups)},
                    {"command", command}};
}

void ReportData::set_plan(const model::Model& quantized, const std::string& command) {
  const model::Architecture& a = quantized.architecture();
  if (!value_.contains("grid")) value_["grid"] = grid(a);
  json groups = json::array();
  std::uint64_t all_bytes = 0, all_weights = 0, block_bytes = 0;
  for (const model::FusionGroup& group : a.groups) {
    std::uint64_t bytes = 0, weights = 0;
    for (const std::size_t l : group.linears) {
      bytes += quantized.stored_bytes(a.linears[l]);
      weights += a.linears[l].rows * a.linears[l].cols;
    }
    const codec::Codec* codec = quantized.codec_of(a.linears[group.linears.front()]);
    groups.push_back({{"codec", codec == nullptr ? "keep" : codec->name},
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
  json list = json::array();
  for (const importance::Signal& signal : importance::signals()) {
    const std::string name(signal.name);
    json entry;
    if (const auto it = scores.blocks.find(name); it != scores.blocks.end())
      entry = values_json(signal, "block", it->second);
    else if (const auto module = scores.modules.find(name); module != scores.modules.end())
      entry = values_json(signal, "linear", module->second);
    else if (const auto group = scores.groups.find(name); group != scores.groups.end())
      entry = values_json(signal, "group", group->second);
    else if (const auto linear = scores.linears.find(name); linear != scores.linears.end())
      entry = linears_json(signal, linear->second);
    else if (const auto choice = scores.choices.find(name); choice != scores.choices.end())
      entry = choices_json(signal, choice->second, importance::judged_codec(scores));
    if (entry.is_null()) continue;
    entry["calibration"] = scores.calibration.text();
    if (const auto it = scores.stability.find(name); it != scores.stability.end()) entry["stability"] = it->second;
    entry["command"] = command;
    list.push_back(std::move(entry));
  }
  value_["signals"] = std::move(list);
  if (!scores.choices.contains("kl")) return;
  try {
    value_["judge"] = judge_json(scores, a, seconds);
    value_["judge"]["command"] = command;
  } catch (const Error&) {
    value_.erase("judge");  // kl of too few groups: the signals are shown, and the judge is among what is missing
  }
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

void ReportData::add_evaluation(const json& evaluation, const std::string& text, const std::string& command) {
  json entry = evaluation;
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
  value_["sweep"] = sweep;
  value_["sweep"]["command"] = command;
}

void ReportData::set_texts(std::span<const Sample> samples, const std::string& command) {
  json list = json::array();
  for (const Sample& sample : samples)
    list.push_back({{"prompt", sample.prompt}, {"original", sample.original}, {"quantized", sample.quantized}});
  value_["texts"] = {{"samples", std::move(list)}, {"command", command}};
}

std::string ReportData::output_fingerprint() const { return text_of(value_, "output", "fingerprint"); }
std::string ReportData::model_fingerprint() const { return text_of(value_, "model", "fingerprint"); }
std::string ReportData::target() const { return text_of(value_, "plan", "target"); }
std::string ReportData::method() const {
  const std::string name = text_of(value_, "plan", "method");
  return name.empty() ? PlanRequest().method : name;
}

json ReportData::to_json() const {
  json value = value_;
  const auto path = [&](const char* part, const std::string& fallback) {
    const std::string found = text_of(value_, part, "path");
    return found.empty() ? fallback : shell_command(std::vector{found});
  };
  const std::string model = path("model", "MODEL"), out = path("output", "OUT");
  const std::string with_ref = fmt::format("strata report {} --ref {}", out, model);
  json missing = json::array();
  const auto need = [&](const char* part, const char* title, std::vector<std::string> how) {
    if (!value_.contains(part)) missing.push_back({{"part", part}, {"title", title}, {"commands", std::move(how)}});
  };
  const std::string score = fmt::format("strata score {} -o scores.json", model);
  need("plan", "Bits of every linear", {fmt::format("strata quantize {} -o {} --bits 4.5", model, out)});
  need("evaluations", "What it cost",
       {fmt::format("strata eval {} --ref {} --text FILE -o eval.json", out, model),
        fmt::format("strata report {} --eval eval.json", out)});
  need("signals", "Importance signals", {score, with_ref + " --scores scores.json"});
  need("pareto", "Other sizes", {score, with_ref + " --scores scores.json"});
  need("judge", "How good each signal is", {score + " --judge", with_ref + " --scores scores.json"});
  need("sweep", "Lowering blocks one after another",
       {fmt::format("strata sweep {} -o sweep", model), fmt::format("strata report {} --sweep sweep", out)});
  need("texts", "Text of both models", {with_ref + " --texts"});
  value["missing"] = std::move(missing);
  return value;
}

std::filesystem::path beside(const std::filesystem::path& output, const std::string& suffix) {
  std::filesystem::path path = output.lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // OUT/
  return path += suffix;
}

bool write_report(const ReportData& data, const std::filesystem::path& data_path, const std::filesystem::path& page) {
  const json value = data.to_json();
  if (!data_path.empty()) write_text_file(data_path, value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
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
