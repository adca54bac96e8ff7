// Mamba-1 (SelectiveSpace): its sizes, and what its blocks hold; nothing feeds forward in a model of it.
// Keys and defaults are those of transformers' configuration_mamba.py and configuration_falcon_mamba.py.
#include "model/config_values.h"
#include "model/families.h"
#include "model/mixers/mixer.h"

namespace strata::model {
namespace {

/// How many values steps are made of: a sixteenth of the hidden size, rounded up, unless config.json has a number.
std::size_t rank_of(const json& config, std::size_t hidden, const std::string& where) {
  constexpr const char* kRank = "time_step_rank";
  if (!has_value(config, kRank) || config[kRank] == "auto") return (hidden + 15) / 16;
  return size_of(config, kRank, where);
}

/// How many channels there are: `expand` times the hidden size, unless config.json has a number.
std::size_t inner_of(const json& config, std::size_t hidden, const std::string& where) {
  constexpr const char* kInner = "intermediate_size";
  if (has_value(config, kInner)) return size_of(config, kInner, where);
  const std::size_t expand = size_or(config, "expand", 2, where);
  if (expand > kLargestSize / hidden) fail("{}: 'expand' is {}, which is too large", where, expand);
  return expand * hidden;
}

/// Nothing attends or feeds forward, but sizes of both must be there: the least take nothing.
void prepare(json& config, const Family& family, const std::string&) {
  config[family.intermediate_key] = 1;
  config["num_attention_heads"] = 1;
  config["num_key_value_heads"] = 1;
  config["head_dim"] = 2;
}

void parse(const json& config, const Family& family, Architecture& a, const std::string& where) {
  SelectiveSpace& s = a.selective;
  s.inner = inner_of(config, a.hidden, where);
  s.state = size_or(config, "state_size", 16, where);
  s.kernel = size_or(config, "conv_kernel", 4, where);
  if (s.state > kLargestSize / s.inner)
    fail("{}: 'state_size' is {} for each of {} channels, which is too large", where, s.state, s.inner);
  if (s.kernel > kLongestKernel) fail("{}: 'conv_kernel' is {}, expected at most {}", where, s.kernel, kLongestKernel);
  s.rank = rank_of(config, a.hidden, where);
  s.bias = get_or<bool>(config, "use_bias", false, where);
  s.convolution_bias = get_or<bool>(config, "use_conv_bias", true, where);
  if (family.selective_norm_key != nullptr)
    s.norm_epsilon = static_cast<float>(positive(config, family.selective_norm_key, 1e-6, where));
  const auto activation = get_or<std::string>(config, family.activation_key, "silu", where);
  if (activation != "silu" && activation != "swish")
    fail("{}: '{}' is '{}', expected silu after the convolution", where, family.activation_key, activation);
  a.names.root = "backbone.";  // of what is made of a GGUF file; Hugging Face's files say it themselves
  for (std::size_t b = 0; b < a.blocks; ++b) {
    a.attention[b].mixer = Mixer::selective;
    a.layout[b].feeds = false;
  }
}

std::vector<MixerLinear> linears(const Architecture& a, std::size_t) {
  const SelectiveSpace& s = a.selective;
  return {{.role = Role::in_xz, .rows = 2 * s.inner, .cols = a.hidden, .bias = s.bias},
          {.role = Role::dtbc, .rows = s.rows(), .cols = s.inner},
          {.role = Role::dt, .rows = s.inner, .cols = s.rank, .bias = true},
          {.role = Role::o,
           .rows = a.hidden,
           .cols = s.inner,
           .bias = s.bias,
           .name = fmt::format("{}.{}", a.names.selective, a.names.selective_out)}};
}

std::vector<ExpectedTensor> kept(const Architecture& a, std::size_t block) {
  const SelectiveSpace& s = a.selective;
  std::vector<ExpectedTensor> list = {kept_tensor(a, block, "A_log", {s.inner, s.state}),
                                      kept_tensor(a, block, "D", {s.inner}),
                                      kept_tensor(a, block, "conv1d.weight", {s.inner, 1, s.kernel})};
  if (s.convolution_bias) list.push_back(kept_tensor(a, block, "conv1d.bias", {s.inner}));
  return list;
}

MixerSizes sizes(const Architecture& a, std::size_t) {
  const SelectiveSpace& s = a.selective;
  return {.mixed = s.inner, .state = s.inner * s.state + (s.kernel - 1) * s.inner};
}

/// What in_xz puts out, whose place what o reads takes again; dtbc's rows and their parts; the convolution's rows, the
/// gate and the steps.
std::size_t floats(const Architecture& a) {
  const SelectiveSpace& s = a.selective;
  return s.kernel == 0 ? 0 : 5 * s.inner + 2 * s.rows();
}

}  // namespace

constinit const MixerKind kSelectiveMixer{.mixer = Mixer::selective,
                                          .name = "Mamba-1",
                                          .module = &TensorNames::selective,
                                          .prepare = prepare,
                                          .parse = parse,
                                          .linears = linears,
                                          .kept = kept,
                                          .sizes = sizes,
                                          .floats = floats};

}  // namespace strata::model
