// Reading has to find the three numbers of Llama 3's scaling in the divisors that they made.
// Yarn's factor of cosine and sine is spread over several keys and a formula of llama.cpp.
#include "model/gguf/rope.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "model/gguf/config.h"
#include "model/gguf/keys.h"
#include "model/gguf/kinds.h"

namespace strata::model {
namespace {

using namespace gguf_key;

constexpr const char* kSections = ".rope.dimension_sections";
constexpr const char* kRotates = ".rope.scaling.finetuned";
constexpr const char* kDivisors = "rope_freqs.weight";
constexpr const char* kLong = "rope_factors_long.weight";
constexpr const char* kShort = "rope_factors_short.weight";

void add_yarn_betas(format::GgufKeys& keys, const Rope& rope, const std::string& key) {
  keys.add(key + "yarn_beta_fast", static_cast<float>(rope.beta_fast));
  keys.add(key + "yarn_beta_slow", static_cast<float>(rope.beta_slow));
}

/// llama.cpp multiplies the scores of latent attention by the square of yarn's magnitude for this multiple, and cosine
/// and sine by that for mscale divided by it. Its key holds a tenth of it (TAG_DEEPSEEK2_YARN_LOG_MUL_FIX).
constexpr double kLatentMultiple = 0.1;
double scores_multiple(const Rope& rope) {
  const double whole = yarn_magnitude(rope.factor, 1.0) - 1.0;
  return whole == 0 ? 0.0 : (std::sqrt(rope.scores_factor) - 1.0) / whole;
}

void add_yarn(format::GgufKeys& keys, const GgufFamily& row, const Rope& rope, bool latent, const std::string& key) {
  keys.add(key + "type", "yarn");
  keys.add(key + "factor", static_cast<float>(rope.factor));
  keys.add(key + "original_context_length", static_cast<std::uint32_t>(rope.original_max_position));
  if (latent) {
    keys.add(key + "yarn_log_multiplier", static_cast<float>(kLatentMultiple * scores_multiple(rope)));
    return add_yarn_betas(keys, rope, key);
  }
  // llama.cpp multiplies cosine and sine by attn_factor and by yarn's magnitude of multiple 1, divided by that of
  // yarn_log_multiplier: a multiplier of 1 takes the magnitude away, and what is left is attn_factor.
  const double own = row.temperature ? 1.0 : yarn_magnitude(rope.factor, 1.0);
  if (row.temperature) keys.add(key + "yarn_log_multiplier", 1.0f);
  keys.add(key + "attn_factor", static_cast<float>(rope.attention_factor / own));
  add_yarn_betas(keys, rope, key);
}

std::vector<float> as_floats(const std::vector<double>& values) { return {values.begin(), values.end()}; }

std::vector<float> divisors(const Rope& rope) {
  Rope unscaled = rope;
  unscaled.scaling = Rope::Scaling::none;
  const std::vector<double> plain = inverse_frequencies(unscaled, 0), scaled = inverse_frequencies(rope, 0);
  std::vector<float> result;
  for (std::size_t i = 0; i < plain.size(); ++i) result.push_back(static_cast<float>(plain[i] / scaled[i]));
  return result;
}

std::vector<float> read_factors(const format::GgufTensor& tensor, std::size_t count, const std::string& where) {
  if (tensor.shape.size() != 1 || tensor.shape[0] != count || tensor.type != 0)
    fail("{}: {} is not F32 [{}]", where, tensor.name, count);
  std::vector<float> factors(count);
  format::ggml_dequantize_row(tensor.type, tensor.data.data(), count, factors.data());
  return factors;
}

/// What Llama 3's scaling may have been for these divisors: published numbers first, then those that the divisors
/// between 1 and the factor give. Only two of original, low and high can be told, so that low is 1.
std::vector<Rope> llama3_guesses(const Rope& rope, const std::vector<double>& plain, const std::vector<float>& given) {
  struct Point {
    double frequency, smooth;  // smooth is linear in the frequency
  };
  std::vector<Point> between;
  double above = plain.front(), below = plain.back();  // the frequencies beside the step
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (given[i] > 1.0001f && given[i] < 0.9999 * rope.factor)
      between.push_back({plain[i], (1 / static_cast<double>(given[i]) - 1 / rope.factor) / (1 - 1 / rope.factor)});
    if (given[i] <= 1.0001f) above = plain[i];
    if (given[i] >= 0.9999 * rope.factor) below = std::max(below, plain[i]);
  }
  std::vector<Rope> guesses;
  const auto guess = [&](double original, double high) {
    Rope made = rope;
    made.high_freq_factor = high;
    made.original_max_position = static_cast<std::size_t>(std::clamp(std::round(original), 1.0, 1e9));
    guesses.push_back(made);
  };
  guess(8192, 4);
  guess(8192, 1);
  const double turn = 2 * std::numbers::pi;
  if (between.empty()) {
    guess(turn / std::sqrt(above * below), 1);
  } else if (between.size() == 1) {
    guess((3 * between[0].smooth + 1) * turn / between[0].frequency, 4);
  } else {
    const Point &first = between.front(), &last = between.back();
    const double slope = (first.smooth - last.smooth) / (first.frequency - last.frequency);
    const double high = 1 + 1 / std::max(slope * first.frequency - first.smooth, 1e-6);
    guess(slope * turn * (high - 1), std::round(high * 1000) / 1000);
  }
  return guesses;
}

json llama3_scaling(const std::vector<float>& given, Rope rope, const std::string& where) {
  const std::vector<double> plain = inverse_frequencies(rope, 0);
  rope.scaling = Rope::Scaling::llama3;
  rope.factor = given.back();
  for (const Rope& guess : llama3_guesses(rope, plain, given)) {
    const std::vector<double> scaled = inverse_frequencies(guess, 0);
    bool same = true;
    for (std::size_t i = 0; i < given.size(); ++i)
      same = same && std::fabs(plain[i] / scaled[i] - given[i]) < 1e-3 * given[i];
    if (same)
      return {{"rope_type", "llama3"},
              {"factor", guess.factor},
              {"low_freq_factor", guess.low_freq_factor},
              {"high_freq_factor", guess.high_freq_factor},
              {"original_max_position_embeddings", guess.original_max_position}};
  }
  fail("{}: {} does not follow Llama 3's rule; convert the model from its Hugging Face folder instead", where,
       kDivisors);
}

json longrope(const format::GgufFile& gguf, const std::string& key, std::size_t count, const std::string& where) {
  json scaling = {{"type", "longrope"}};
  for (const auto& [name, tensor] : {std::pair{"long_factor", kLong}, {"short_factor", kShort}}) {
    const format::GgufTensor* const found = gguf.find(tensor);
    if (found == nullptr) fail("{}: {} is missing", where, tensor);
    for (const float factor : read_factors(*found, count, where)) scaling[name].push_back(as_float32(factor));
  }
  scaling["attention_factor"] = gguf.has(key + "attn_factor") ? as_float32(gguf.real(key + "attn_factor")) : 1.0;
  return scaling;
}

json yarn(const format::GgufFile& gguf, const GgufFamily& row, bool latent, const std::string& key,
          const std::string& where) {
  const auto real_or = [&](const char* name, double fallback) {
    return gguf.has(key + name) ? as_float32(gguf.real(key + name)) : fallback;
  };
  const double factor = as_float32(gguf.real(key + "factor"));
  if (!(factor > 0)) fail("{}: {}factor is {}, expected a positive number", where, key, factor);
  json scaling = {{"rope_type", "yarn"},
                  {"factor", factor},
                  {"original_max_position_embeddings", gguf.integer(key + "original_context_length")},
                  {"beta_fast", row.yarn_betas ? real_or("yarn_beta_fast", 32.0) : 32.0},
                  {"beta_slow", row.yarn_betas ? real_or("yarn_beta_slow", 1.0) : 1.0}};
  if (latent) {
    const double multiple = as_float32(real_or("yarn_log_multiplier", 0.0) / kLatentMultiple);
    scaling["mscale"] = row.mscale_is_one ? 1.0 : multiple;
    scaling["mscale_all_dim"] = multiple;
    return scaling;
  }
  const double attention = real_or("attn_factor", 1.0) * yarn_magnitude(factor, 1.0) /
                           yarn_magnitude(factor, real_or("yarn_log_multiplier", 0.0));
  if (std::fabs(attention - yarn_magnitude(factor, 1.0)) > 1e-7) scaling["attention_factor"] = as_float32(attention);
  if (!row.yarn_truncates) scaling["truncate"] = false;
  return scaling;
}

/// The object of config.json that says how the embedding is scaled; null when it is not.
json read_scaling(json& config, const format::GgufFile& gguf, const GgufFamily& row, bool latent, std::size_t dims,
                  const std::string& where) {
  const std::string key = std::string(row.name) + ".rope.scaling.";
  if (const format::GgufTensor* factors = gguf.find(kDivisors)) {
    Rope rope;
    rope.theta = config["rope_theta"];
    rope.dims = dims;
    return llama3_scaling(read_factors(*factors, dims / 2, where), rope, where);
  }
  if (gguf.find(kLong) != nullptr) {
    config["original_max_position_embeddings"] = gguf.integer(key + "original_context_length");
    return longrope(gguf, key, dims / 2, where);
  }
  if (!gguf.has(key + "type") || gguf.text(key + "type") == "none") return nullptr;
  const std::string& type = gguf.text(key + "type");
  if (type == "yarn") return yarn(gguf, row, latent, key, where);
  if (type != "linear") fail("{}: rope scaling '{}' is not supported for GGUF files", where, type);
  if (!gguf.has(key + "factor")) return nullptr;
  return {{"rope_type", "linear"}, {"factor", gguf.real(key + "factor")}};
}

/// Whether files of the architecture say which dimensions turn by time, height and width.
bool has_sections(const GgufFamily& row) { return !row.plain.empty() || row.sections.front() != 0; }

/// Whether blocks that attend have a rotary embedding, where a key says so. Throws Error where a family's always have.
void add_rotation(json& config, const format::GgufFile& gguf, const GgufFamily& row, const Family& family,
                  const std::string& where) {
  const std::string key = std::string(row.name) + kRotates;
  const bool rotates = !row.rope_key || !gguf.has(key) || gguf.boolean(key);
  if (family.rope == RopeRule::when_rope)
    config["position_embedding_type"] = rotates ? "rope" : "nope";
  else if (!rotates)
    fail("{}: {} is false, and {} models always have a rotary embedding", where, key, family.model_type);
}

/// Whether config.json has the embeddings of blocks with and without a window apart.
bool by_kind(const json& config, const GgufFamily& row) {
  return row.window_rope && !row.window_theta && config.contains("sliding_window") &&
         !config["sliding_window"].is_null();
}

std::size_t read_dims(json& config, const format::GgufFile& gguf, const GgufFamily& row, bool latent,
                      const std::string& where) {
  if (latent) return config["qk_rope_head_dim"].get<std::size_t>();
  const auto head_dim = config["head_dim"].get<std::size_t>();
  const std::string key = std::string(row.name) + kTurned;
  const std::uint64_t dims = gguf.has(key) ? gguf.integer(key) : head_dim;
  if (dims == head_dim && !row.partial_rope) return dims;
  if (!row.partial_rope || dims == 0 || dims % 2 != 0 || dims > head_dim)
    fail("{}: rotates {} of {} dimensions of a head, which is not supported", where, dims, head_dim);
  config["rotary_dim"] = dims;
  config["partial_rotary_factor"] = static_cast<double>(dims) / static_cast<double>(head_dim);
  return dims;
}

/// The embeddings of blocks with and without a window, where each turns dimensions of its own. scaling: of the latter.
json ropes_by_kind(json& config, const format::GgufFile& gguf, const std::string& arch, json scaling) {
  const auto head_dim = config["head_dim"].get<double>();
  json full = scaling.is_null() ? json{{"rope_type", "default"}} : std::move(scaling), windowed;
  full["rope_theta"] = config["rope_theta"];
  full["partial_rotary_factor"] = config.value("rotary_dim", head_dim) / head_dim;
  windowed["rope_type"] = "default";
  windowed["rope_theta"] =
      gguf.has(arch + kWindowTheta) ? json(as_float32(gguf.real(arch + kWindowTheta))) : config["rope_theta"];
  const double turned =
      gguf.has(arch + kWindowTurned) ? static_cast<double>(gguf.integer(arch + kWindowTurned)) : head_dim;
  windowed["partial_rotary_factor"] = turned / head_dim;
  for (const char* key : {"rope_theta", "rotary_dim", "partial_rotary_factor"}) config.erase(key);
  return {{"full_attention", std::move(full)}, {"sliding_attention", std::move(windowed)}};
}

}  // namespace

void add_rope_keys(format::GgufKeys& keys, const GgufFamily& row, const Architecture& a, const std::string& where) {
  if (row.by_kind) return add_kind_rope_keys(keys, row, a);
  const std::string arch(row.name);
  const Rope& rope = a.ropes.front();
  keys.add(arch + kTheta, static_cast<float>(rope.theta));
  if (row.window_theta) keys.add(arch + kWindowTheta, static_cast<float>(a.ropes.back().theta));
  if (row.window_turned) keys.add(arch + kWindowTurned, static_cast<std::uint32_t>(a.ropes.back().dims));
  if (row.interleaved || row.partial_rope || a.latent.kv_rank != 0)
    keys.add(arch + kTurned, static_cast<std::uint32_t>(rope.dims));
  if (has_sections(row)) {
    std::vector<std::int32_t> sections(rope.sections.begin(), rope.sections.end());
    if (sections.empty()) sections.assign(row.sections.begin(), row.sections.end());
    sections.resize(4, 0);
    keys.add(arch + kSections, sections);
  }
  if (row.rope_key && a.mamba.kernel != 0)
    keys.add(arch + kRotates,
             std::ranges::any_of(a.attention, [](const auto& block) { return block.rope != kNoRope; }));
  const std::string key = arch + ".rope.scaling.";
  if (rope.scaling == Rope::Scaling::dynamic)
    fail(
        "{}: dynamic rotary scaling has no counterpart in GGUF; remove rope_scaling from config.json to convert the "
        "model for its original context",
        where);
  if (rope.scaling == Rope::Scaling::linear) {
    keys.add(key + "type", "linear");
    keys.add(key + "factor", static_cast<float>(rope.factor));
  }
  if (rope.scaling == Rope::Scaling::yarn) add_yarn(keys, row, rope, a.latent.kv_rank != 0, key);
  if (rope.scaling == Rope::Scaling::longrope) {
    keys.add(key + "original_context_length", static_cast<std::uint32_t>(rope.original_max_position));
    keys.add(key + "attn_factor", static_cast<float>(rope.attention_factor));
  }
}

std::vector<std::pair<std::string, std::vector<float>>> rope_tensors(const Architecture& a) {
  const Rope& rope = a.ropes.front();
  if (gguf_family_of(a).by_kind) return {{kDivisors, kind_divisors(rope)}};
  if (rope.scaling == Rope::Scaling::llama3) return {{kDivisors, divisors(rope)}};
  if (rope.scaling == Rope::Scaling::longrope)
    return {{kLong, as_floats(rope.long_factors)}, {kShort, as_floats(rope.short_factors)}};
  return {};
}

void add_rope_config(json& config, const format::GgufFile& gguf, const GgufFamily& row, const Family& family,
                     const std::string& where) {
  if (row.by_kind) {
    const format::GgufTensor* const factors = gguf.find(kDivisors);
    if (factors == nullptr) fail("{}: {} is missing", where, kDivisors);
    const std::size_t pairs = config["global_head_dim"].get<std::size_t>() / 2;
    return add_kind_rope_config(config, gguf, row, read_factors(*factors, pairs, where), where);
  }
  const std::string arch(row.name);
  const std::size_t dims = read_dims(config, gguf, row, family.mixer == Mixer::latent, where);
  add_rotation(config, gguf, row, family, where);
  config["rope_theta"] = gguf.has(arch + kTheta) ? as_float32(gguf.real(arch + kTheta)) : 10000.0;
  if (row.window_theta && !row.window_turned && gguf.has(arch + kWindowTheta))
    config[family.window_rope_key] = as_float32(gguf.real(arch + kWindowTheta));
  json scaling = read_scaling(config, gguf, row, family.mixer == Mixer::latent, dims, where);
  if (has_sections(row)) {
    if (scaling.is_null()) scaling["rope_type"] = "default";
    for (const std::int64_t section : gguf.integers(arch + kSections))
      if (section > 0) scaling["mrope_section"].push_back(section);
  }
  if (row.window_turned) {
    config["rope_parameters"] = ropes_by_kind(config, gguf, arch, std::move(scaling));
    return;
  }
  // Families of transformers 5 have the settings in one object.
  if (row.rope_parameters || row.temperature || by_kind(config, row)) {
    json parameters = scaling.is_null() ? json{{"rope_type", "default"}} : std::move(scaling);
    parameters["rope_theta"] = config["rope_theta"];
    if (const std::string key = arch + ".attention.temperature_scale"; row.temperature && gguf.has(key))
      parameters[family.query_scale.beta] = as_float32(gguf.real(key));
    if (row.rope_parameters && config.contains("partial_rotary_factor"))
      parameters["partial_rotary_factor"] = config["partial_rotary_factor"];
    if (by_kind(config, row))
      parameters = {{"full_attention", parameters},
                    {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", config["rope_theta"]}}}};
    config.erase("rope_theta");
    config["rope_parameters"] = std::move(parameters);
  } else if (!scaling.is_null()) {
    config["rope_scaling"] = std::move(scaling);
  }
}

}  // namespace strata::model
