// Mamba-2 (Mamba): its sizes, what every block of a model with it consists of, and what its blocks hold.
// Keys and defaults are those of transformers' configuration_nemotron_h.py and configuration_granitemoehybrid.py.
#include <algorithm>
#include <array>
#include <cmath>

#include "model/config_values.h"
#include "model/families.h"
#include "model/mamba_keys.h"
#include "model/mixers/mixer.h"

namespace strata::model {
namespace {

enum class Part { mamba, attention, dense, experts };

struct PartName {
  std::string_view name;
  char letter;  ///< of a pattern
  Part part;
};
constexpr auto kParts = std::to_array<PartName>({
    {"mamba", 'M', Part::mamba},
    {"linear_attention", 'M', Part::mamba},
    {"attention", '*', Part::attention},
    {"full_attention", '*', Part::attention},
    {"mlp", '-', Part::dense},
    {"moe", 'E', Part::experts},
});

json parts_of(const std::string& pattern, const char* key, const std::string& where) {
  json parts = json::array();
  for (const char letter : pattern) {
    const auto part = std::ranges::find(kParts, letter, &PartName::letter);
    if (part == kParts.end()) fail("{}: '{}' has the letter '{}', expected M, *, - or E", where, key, letter);
    parts.push_back(part->name);
  }
  return parts;
}

/// What every block is in the list; without one all that attention_list does not name are Mamba-2.
std::vector<Part> read_parts(const json& config, const MambaKeys& keys, std::size_t blocks, const std::string& where) {
  if (!has_value(config, keys.parts)) {
    std::vector<Part> parts(blocks, Part::mamba);
    if (keys.attention_list == nullptr || !has_value(config, keys.attention_list)) return parts;
    for (const auto block : get<std::vector<std::uint64_t>>(config, keys.attention_list, where))
      if (block < blocks) parts[block] = Part::attention;
    return parts;
  }
  const auto names = get<std::vector<std::string>>(config, keys.parts, where);
  if (names.size() != blocks) fail("{}: '{}' has {} entries for {} blocks", where, keys.parts, names.size(), blocks);
  std::vector<Part> parts;
  for (const std::string& name : names) {
    const auto part = std::ranges::find(kParts, name, &PartName::name);
    const bool mixer = part != kParts.end() && (part->part == Part::mamba || part->part == Part::attention);
    if (part == kParts.end() || (!mixer && !keys.one_part))
      fail("{}: '{}' names '{}', expected mamba or attention{}", where, keys.parts, name,
           keys.one_part ? ", mlp or moe" : "");
    parts.push_back(part->part);
  }
  return parts;
}

/// A limit of steps: a number, or infinity as transformers 5 writes it (core/json.h).
float limit_of(const json& value, const std::string& where) {
  if (value.is_object() && value.contains("__float__") && value["__float__"] == "Infinity")
    return std::numeric_limits<float>::infinity();
  const auto limit = convert<double>(value, "time_step_limit", where);
  if (!(limit >= 0)) fail("{}: 'time_step_limit' holds {}, expected numbers from 0", where, limit);
  return static_cast<float>(limit);
}

void parse_steps(const json& config, const MambaKeys& keys, Mamba& m, const std::string& where) {
  if (keys.least_step != nullptr) {
    m.least_step = static_cast<float>(positive(config, keys.least_step, 0.001, where));
    return;
  }
  if (!has_value(config, "time_step_limit")) return;
  const json& limits = config["time_step_limit"];
  if (!limits.is_array() || limits.size() != 2)
    fail("{}: 'time_step_limit' is {}, expected two numbers", where, brief(limits));
  m.least_step = limit_of(limits[0], where);
  m.most_step = limit_of(limits[1], where);
  if (m.least_step > m.most_step) fail("{}: 'time_step_limit' is {}, which is no range", where, brief(limits));
}

void parse_sizes(const json& config, const MambaKeys& keys, const Architecture& a, Mamba& m, const std::string& where) {
  m.heads = size_of(config, keys.heads, where);
  m.state = size_of(config, keys.state, where);
  m.groups = size_or(config, keys.groups, 1, where);
  m.kernel = size_of(config, keys.kernel, where);
  const bool given = has_value(config, keys.head_dim) && config[keys.head_dim] != "auto";
  m.head_dim =
      given ? size_of(config, keys.head_dim, where) : size_or(config, "mamba_expand", 2, where) * a.hidden / m.heads;
  if (m.head_dim == 0) fail("{}: '{}' is {}, too many for a hidden size of {}", where, keys.heads, m.heads, a.hidden);
  if (m.heads % m.groups != 0)
    fail("{}: '{}' {} cannot be shared out among '{}' {}", where, keys.heads, m.heads, keys.groups, m.groups);
  if (m.kernel > kLongestKernel || m.heads > kLargestSize / m.head_dim || m.groups > kLargestSize / m.state ||
      m.rows() > kLargestSize || m.inner() > (std::size_t{1} << 31) / m.state)
    fail("{}: {} heads of {} with states of {} in {} groups and a convolution over {} tokens are too large", where,
         m.heads, m.head_dim, m.state, m.groups, m.kernel);
}

/// Puts the parts of blocks, however config.json spells them, into the list of MambaKeys::parts and their number into
/// num_hidden_layers, where the family has blocks of one part.
void prepare(json& config, const Family& family, const std::string& where) {
  const MambaKeys& keys = *family.mamba;
  if (!keys.one_part || keys.usual_parts == nullptr) return;
  const char* const other = "layer_types";  // transformers reads it as the other name of the list
  if (!has_value(config, keys.parts) && has_value(config, other)) config[keys.parts] = config[other];
  if (!has_value(config, keys.parts)) {
    const bool given = keys.pattern != nullptr && has_value(config, keys.pattern);
    const auto pattern = given ? get<std::string>(config, keys.pattern, where) : std::string(keys.usual_parts);
    config[keys.parts] = parts_of(pattern, keys.pattern, where);
  }
  config["num_hidden_layers"] = config[keys.parts].size();  // transformers believes the list, not this key
}

void parse(const json& config, const Family& family, Architecture& a, const std::string& where) {
  const MambaKeys& keys = *family.mamba;
  Mamba& m = a.mamba;
  parse_sizes(config, keys, a, m, where);
  parse_steps(config, keys, m, where);
  m.bias = get_or<bool>(config, keys.bias, false, where);
  m.convolution_bias = get_or<bool>(config, keys.convolution_bias, true, where);
  if (const auto name = get_or<std::string>(config, keys.activation, "silu", where); name != "silu" && name != "swish")
    fail("{}: {} '{}' is not supported in Mamba-2; known is silu", where, keys.activation, name);
  const std::vector<Part> parts = read_parts(config, keys, a.blocks, where);
  for (std::size_t b = 0; b < a.blocks; ++b) {
    const bool mixes = parts[b] == Part::mamba || parts[b] == Part::attention;
    a.attention[b].mixer = !mixes ? Mixer::none : parts[b] == Part::mamba ? Mixer::mamba : Mixer::attention;
    if (!keys.one_part) continue;
    a.layout[b].feeds = !mixes;
    a.layout[b].mixture = parts[b] == Part::experts;
  }
  if (keys.one_part && std::ranges::find(parts, Part::experts) == parts.end()) a.experts = {};
}

std::vector<MixerLinear> linears(const Architecture& a, std::size_t) {
  const Mamba& m = a.mamba;
  return {{.role = Role::in_zxbcdt, .rows = m.rows(), .cols = a.hidden, .bias = m.bias},
          {.role = Role::o,
           .rows = a.hidden,
           .cols = m.inner(),
           .bias = m.bias,
           .name = fmt::format("{}.{}", a.names.mamba, a.names.mamba_out)}};
}

std::vector<ExpectedTensor> kept(const Architecture& a, std::size_t block) {
  const Mamba& m = a.mamba;
  std::vector<ExpectedTensor> list = {kept_tensor(a, block, "conv1d.weight", {m.channels(), 1, m.kernel})};
  if (m.convolution_bias) list.push_back(kept_tensor(a, block, "conv1d.bias", {m.channels()}));
  for (const char* part : {"A_log", "D", "dt_bias"}) list.push_back(kept_tensor(a, block, part, {m.heads}));
  list.push_back(kept_tensor(a, block, "norm.weight", {m.inner()}));
  return list;
}

MixerSizes sizes(const Architecture& a, std::size_t) {
  const Mamba& m = a.mamba;
  return {.mixed = m.inner(), .state = m.inner() * m.state + (m.kernel - 1) * m.channels()};
}

std::size_t floats(const Architecture& a) { return a.mamba.floats(); }

}  // namespace

constinit const MixerKind kMambaMixer{.mixer = Mixer::mamba,
                                      .name = "Mamba-2",
                                      .module = &TensorNames::mamba,
                                      .held = "mixer",
                                      .prepare = prepare,
                                      .parse = parse,
                                      .linears = linears,
                                      .kept = kept,
                                      .sizes = sizes,
                                      .floats = floats};

}  // namespace strata::model
