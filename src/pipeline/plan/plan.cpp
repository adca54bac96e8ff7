// Plan <-> JSON, and the sums over a plan.
// Bytes in the file are for people: reading recomputes them from the codecs.
#include "pipeline/plan/plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "pipeline/plan/shapes.h"

namespace strata::pipeline {
namespace {
constexpr int kVersion = 1;

/// The fingerprint of the model that the file is for. "model_fingerprint" may stand for "model": {"fingerprint"}.
std::string fingerprint_in(const json& value, const std::string& where) {
  if (!value.contains("model") && value.contains("model_fingerprint"))
    return get<std::string>(value, "model_fingerprint", where);
  return get<std::string>(get<json>(value, "model", where), "fingerprint", where);
}

/// Throws Error unless the fingerprint is the model's: that of its headers will do for a plan that depends on no
/// weight.
void check_fingerprint(const std::string& given, const model::Model& model, const std::string& where) {
  const bool of_headers = given.starts_with(model::Model::kOfHeaders);
  if (!of_headers && !model.complete())
    fail("{}: was made by the weights of a model, and {} has headers without weights, so that it cannot be told", where,
         model.path().string());
  if (const std::string own = of_headers ? model.header_fingerprint() : model.fingerprint(); own != given)
    fail("{}: was made for another model (fingerprint {}, this model has {})", where, given, own);
}

/// Gives group g its codec.
void set_codec(PlannedGroup& group, const model::Model& model, std::size_t g, const codec::Codec& codec) {
  const model::Architecture& a = model.architecture();
  group.codec = &codec;
  group.bytes = bytes_of(g, codec, a);
  group.left_dense = a.fusion != model::Fusion::single && !codec.has_codes() &&
                     a.linears[a.groups[g].linears.front()].role == model::Role::embed;
  group.as_in_source = static_cast<std::size_t>(
      std::ranges::count_if(a.groups[g].linears, [&](std::size_t l) { return model.source_codec(l) == &codec; }));
}

}  // namespace

std::uint64_t Plan::bytes() const {
  return std::accumulate(groups.begin(), groups.end(), std::uint64_t{0},
                         [](auto sum, const PlannedGroup& g) { return sum + (g.left_dense ? 0 : g.bytes); });
}
std::uint64_t Plan::weights() const {
  return std::accumulate(groups.begin(), groups.end(), std::uint64_t{0},
                         [](auto sum, const PlannedGroup& g) { return sum + (g.left_dense ? 0 : g.weights); });
}
std::uint64_t Plan::block_bytes() const {
  return std::accumulate(groups.begin(), groups.end(), std::uint64_t{0},
                         [](auto sum, const PlannedGroup& g) { return sum + (g.in_block ? g.bytes : 0); });
}
double Plan::bits() const {
  std::uint64_t in_blocks = 0;
  for (const PlannedGroup& g : groups) in_blocks += g.in_block ? g.weights : 0;
  return 8.0 * static_cast<double>(block_bytes()) / static_cast<double>(in_blocks);
}
double Plan::cost() const {
  return std::accumulate(groups.begin(), groups.end(), 0.0,
                         [](double sum, const PlannedGroup& g) { return sum + g.cost; });
}
double Plan::nominal_bits() const {
  double bits = 0, in_blocks = 0;
  for (const PlannedGroup& g : groups) {
    if (!g.in_block) continue;
    bits += static_cast<double>(g.codec->code_bits) * static_cast<double>(g.weights);
    in_blocks += static_cast<double>(g.weights);
  }
  return bits / in_blocks;
}

Assignment assignment_of(const Plan& plan) {
  Assignment result;
  for (const PlannedGroup& group : plan.groups) result.push_back(group.codec);
  return result;
}

Assignment all_kept(const model::Architecture& a) { return Assignment(a.groups.size(), &codec::by_name("keep")); }

std::string names(const Assignment& assignment) {
  std::string text;
  for (const codec::Codec* codec : assignment) text += codec->name + " ";
  return text;
}

std::uint64_t bytes_of(std::size_t group, const codec::Codec& codec, const model::Architecture& a) {
  std::uint64_t sum = 0;
  for (const std::size_t l : a.groups[group].linears) {
    const bool twice = a.copies_head() && l == a.embedding() && codec.has_codes();
    sum += (twice ? 2 : 1) * codec::stored_bytes(codec, a.linears[l].rows, a.linears[l].cols);
  }
  return sum;
}

std::uint64_t bytes_of(const Assignment& assignment, const model::Architecture& a, Count count) {
  std::uint64_t sum = 0;
  for (std::size_t g = 0; g < assignment.size(); ++g)
    if (count == Count::all || a.groups[g].block != model::kNoBlock) sum += bytes_of(g, *assignment[g], a);
  return sum;
}

std::vector<const codec::Codec*> codecs_by_linear(const Assignment& assignment, const model::Architecture& a) {
  STRATA_CHECK(assignment.size() == a.groups.size(), "{} groups for {}", assignment.size(), a.groups.size());
  std::vector<const codec::Codec*> result(a.linears.size());
  for (std::size_t l = 0; l < a.linears.size(); ++l) result[l] = assignment[a.linears[l].group];
  return result;
}

std::vector<const codec::Codec*> codecs_by_linear(const Plan& plan, const model::Architecture& a) {
  return codecs_by_linear(assignment_of(plan), a);
}

Plan plan_of(const model::Model& model, const Assignment& assignment) {
  const model::Architecture& a = model.architecture();
  STRATA_CHECK(assignment.size() == a.groups.size(), "{} groups for {}", assignment.size(), a.groups.size());
  Plan plan;
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    PlannedGroup group;
    group.name = a.groups[g].name;
    for (const std::size_t l : a.groups[g].linears) {
      group.linears.push_back(a.linears[l].module);
      group.weights += a.linears[l].rows * a.linears[l].cols;
    }
    group.in_block = a.groups[g].block != model::kNoBlock;
    set_codec(group, model, g, *assignment[g]);
    plan.groups.push_back(std::move(group));
  }
  return plan;
}

json Plan::to_json() const {
  json value;
  value["format"] = "strata plan";
  value["version"] = kVersion;
  value["model"] = {{"fingerprint", fingerprint}};
  value["target"] = target;
  value["preset"] = preset;
  value["request"] = request;
  value["totals"] = {{"bytes", bytes()},
                     {"weights", weights()},
                     {"block_bytes", block_bytes()},
                     {"bits", bits()},
                     {"nominal_bits", nominal_bits()},
                     {"cost", cost()},
                     {"cost_lower_bound", lower_bound},
                     {"cost_signal", cost_signal}};
  if (smoothing != 0.0) value["smoothing"] = smoothing;
  if (!search.is_null()) value["search"] = search;
  json list = json::array();
  for (const PlannedGroup& g : groups) {
    if (g.left_dense) continue;
    list.push_back({{"name", g.name},
                    {"codec", g.codec->name},
                    {"bytes", g.bytes},
                    {"weights", g.weights},
                    {"bits", 8.0 * static_cast<double>(g.bytes) / static_cast<double>(g.weights)},
                    {"cost", g.cost},
                    {"linears", g.linears}});
    if (g.as_in_source != 0) list.back()["as_in_source"] = g.as_in_source;
    if (!g.choices.empty()) list.back()["choices"] = g.choices;
  }
  value["groups"] = std::move(list);
  return value;
}

void check_is_plan(const json& value, const std::string& where) {
  // "kind" may stand for "format".
  if (!value.is_object() ||
      get_or(value, "format", get_or<std::string>(value, "kind", "", where), where) != "strata plan")
    fail("{}: is not a plan made by `strata plan`", where);
  if (const auto version = get<int>(value, "version", where); version != kVersion)
    fail("{}: plan version {} is not known here (expected {}); make it anew with `strata plan`", where, version,
         kVersion);
}

Plan Plan::from_json(const json& value, const model::Model& model, const std::string& where) {
  check_is_plan(value, where);
  Plan plan = plan_of(model, all_kept(model.architecture()));
  plan.fingerprint = fingerprint_in(value, where);
  check_fingerprint(plan.fingerprint, model, where);
  plan.target = get<std::string>(value, "target", where);
  plan.preset = get<std::string>(value, "preset", where);
  plan.request = value.value("request", json::object());
  plan.search = value.value("search", json());
  plan.smoothing = get_or<double>(value, "smoothing", 0.0, where);
  if (!(plan.smoothing >= 0.0 && plan.smoothing <= 1.0))
    fail("{}: 'smoothing' is {}, expected a number from 0 to 1", where, plan.smoothing);
  if (const auto totals = value.find("totals"); totals != value.end() && totals->is_object()) {
    plan.cost_signal = get_or<std::string>(*totals, "cost_signal", "", where);
    plan.lower_bound = get_or<double>(*totals, "cost_lower_bound", 0.0, where);
  }
  const auto list = value.find("groups");
  if (list == value.end() || !list->is_array()) fail("{}: 'groups' is missing", where);
  std::map<std::string, std::size_t> index;
  for (std::size_t g = 0; g < plan.groups.size(); ++g) index[plan.groups[g].name] = g;
  for (const json& entry : *list) {
    if (!entry.is_object()) fail("{}: an entry of 'groups' is not an object", where);
    const auto name = get<std::string>(entry, "name", where);
    const auto it = index.find(name);
    if (it == index.end()) fail("{}: group '{}' does not exist in this model, or is given twice", where, name);
    PlannedGroup& group = plan.groups[it->second];
    if (entry.contains("linears") && entry["linears"] != json(group.linears))
      fail("{}: group '{}' must hold {} together, since the runtime fuses them", where, name,
           fmt::join(group.linears, ", "));
    const auto codec_name = get<std::string>(entry, "codec", where);
    const codec::Codec* codec = codec::find(codec_name);
    if (codec == nullptr) fail("{}: group '{}' has the unknown codec '{}'", where, name, codec_name);
    for (const std::size_t l : model.architecture().groups[it->second].linears) {
      const model::Linear& linear = model.architecture().linears[l];
      if (const std::string why = why_not_shape(*codec, linear.rows, linear.cols); !why.empty())
        fail("{}: {} cannot hold {}: {}", where, codec_name, linear.module, why);
    }
    set_codec(group, model, it->second, *codec);
    group.cost = get_or<double>(entry, "cost", 0.0, where);
    index.erase(it);
  }
  // Plans that leave it dense do not name it.
  const model::Architecture& a = model.architecture();
  if (a.fusion == model::Fusion::fused_embedding && a.embedding() != model::kNoLinear)
    index.erase(a.groups[a.linears[a.embedding()].group].name);
  if (!index.empty()) fail("{}: group '{}' is missing", where, index.begin()->first);
  return plan;
}

}  // namespace strata::pipeline
