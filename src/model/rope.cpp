// Parsing and frequencies of rotary embeddings. Keys and defaults are those of transformers.
// Formulas: modeling_rope_utils.py.
#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/config_values.h"
#include "model/families.h"

namespace strata::model {
double yarn_magnitude(double scale, double mscale) { return scale <= 1 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0; }

namespace {

constexpr std::string_view kProportional = "proportional";

/// What config.json says of one rotary embedding, in one object whatever the spelling.
json settings_of(const json& config, const char* kind, const std::string& where) {
  json settings = json::object();
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto it = config.find(key);
    if (it == config.end() || it->is_null()) continue;
    if (!it->is_object()) fail("{}: '{}' is not an object", where, key);
    const auto nested = it->find(kind);
    const json& given = nested != it->end() && nested->is_object() ? *nested : *it;
    for (const auto& [name, value] : given.items())
      if (const std::string& known = name == "type" ? "rope_type" : name;
          !settings.contains(known) && !value.is_null() && !value.is_object())
        settings[known] = value;
  }
  for (const char* key : {"rope_theta", "partial_rotary_factor"})
    if (const auto it = config.find(key); it != config.end() && !it->is_null() && !settings.contains(key))
      settings[key] = *it;
  // Phi-3 has it at the top, where it counts before any other.
  if (const auto it = config.find("original_max_position_embeddings"); it != config.end() && !it->is_null())
    settings["original_max_position_embeddings"] = *it;
  return settings;
}

/// How many dimensions of a head are rotated.
std::size_t rotary_dims(const json& config, const json& settings, const Family& family, std::size_t head_dim,
                        const std::string& where) {
  double share = family.default_rotary_share;
  if (const std::size_t dims = size_or(config, "rotary_dim", 0, where); dims != 0)
    share = static_cast<double>(dims) / static_cast<double>(head_dim);
  if (get_or<std::string>(settings, "rope_type", "default", where) == kProportional) return head_dim;
  share = positive(settings, "partial_rotary_factor", share, where);
  const auto dims = static_cast<std::size_t>(static_cast<double>(head_dim) * std::min(share, 2.0));
  if (dims == 0 || dims % 2 != 0 || dims > head_dim)
    fail("{}: 'partial_rotary_factor' {} of a head of {} is not an even part of it", where, share, head_dim);
  return dims;
}

void parse_yarn(Rope& rope, const json& settings, const std::string& where) {
  rope.scaling = Rope::Scaling::yarn;
  if (rope.theta <= 1) fail("{}: rope type 'yarn' needs a 'rope_theta' above 1, not {}", where, rope.theta);
  const auto number = [&](const char* key) { return get_or<double>(settings, key, 0.0, where); };
  if (number("beta_fast") != 0) rope.beta_fast = positive(settings, "beta_fast", 32.0, where);
  if (number("beta_slow") != 0) rope.beta_slow = positive(settings, "beta_slow", 1.0, where);
  rope.truncate = get_or<bool>(settings, "truncate", true, where);
  const double of_one = number("mscale"), of_all = number("mscale_all_dim");
  const double computed = of_one != 0 && of_all != 0
                              ? yarn_magnitude(rope.factor, of_one) / yarn_magnitude(rope.factor, of_all)
                              : yarn_magnitude(rope.factor, 1.0);
  rope.attention_factor = positive(settings, "attention_factor", computed, where);
  if (of_all != 0) rope.scores_factor = std::pow(yarn_magnitude(rope.factor, of_all), 2);
}

void parse_longrope(Rope& rope, const json& settings, const std::string& where) {
  rope.scaling = Rope::Scaling::longrope;
  rope.short_factors = get<std::vector<double>>(settings, "short_factor", where);
  rope.long_factors = get<std::vector<double>>(settings, "long_factor", where);
  for (const auto& [key, factors] :
       {std::pair{"short_factor", &rope.short_factors}, {"long_factor", &rope.long_factors}}) {
    if (factors->size() != rope.dims / 2)
      fail("{}: '{}' has {} factors for {} rotated dimensions", where, key, factors->size(), rope.dims);
    for (const double factor : *factors)
      if (!(factor > 0)) fail("{}: '{}' holds {}, expected positive numbers", where, key, factor);
  }
  const double original = static_cast<double>(std::max<std::size_t>(rope.original_max_position, 2));
  const double computed = rope.factor <= 1 ? 1.0 : std::sqrt(1 + std::log(rope.factor) / std::log(original));
  rope.attention_factor = positive(settings, "attention_factor", computed, where);
}

void parse_llama3(Rope& rope, const json& settings, const std::string& where) {
  rope.scaling = Rope::Scaling::llama3;
  rope.low_freq_factor = positive(settings, "low_freq_factor", 1.0, where);
  rope.high_freq_factor = positive(settings, "high_freq_factor", 4.0, where);
  if (rope.high_freq_factor < rope.low_freq_factor)
    fail("{}: 'high_freq_factor' of the rotary embedding must not be less than low_freq_factor", where);
}

/// The frequencies are those of all dimensions of the head, of which a share turns (Gemma 4).
void parse_proportional(Rope& rope, const json& settings, const std::string& where) {
  rope.scaling = Rope::Scaling::proportional;
  const double share = positive(settings, "partial_rotary_factor", 1.0, where);
  if (share > 1) fail("{}: 'partial_rotary_factor' is {}, expected at most 1", where, share);
  rope.turned = static_cast<std::size_t>(share * static_cast<double>(rope.dims)) / 2;
}

bool has_alpha(const json& settings, const std::string& where) {
  return get_or<std::string>(settings, "rope_type", "", where) == "dynamic" &&
         get_or<double>(settings, "alpha", 0.0, where) != 0.0;
}

/// What a longer text would do to the base once and for all (HunYuan).
void stretch_by_alpha(Rope& rope, const json& settings, const std::string& where) {
  const auto dims = static_cast<double>(rope.dims);
  if (rope.dims <= 2) fail("{}: 'alpha' stretches no rotary embedding of {} dimensions", where, rope.dims);
  rope.theta *= std::pow(positive(settings, "alpha", 1.0, where), dims / (dims - 2));
  if (!std::isfinite(rope.theta)) fail("{}: 'alpha' is too large", where);
}

/// Fills kind and parameters of the scaling.
void parse_scaling(Rope& rope, const json& settings, std::size_t max_position, const std::string& where) {
  rope.original_max_position = max_position;
  auto kind = get_or<std::string>(settings, "rope_type", "default", where);
  if (kind == "su" || (kind == "yarn" && settings.contains("long_factor"))) kind = "longrope";  // early Phi-3 files
  // Positions of text are the same in all three directions of a multimodal embedding.
  if (kind == "default" || kind == "mrope") return;
  if (kind != "dynamic" && kind != "linear")
    rope.original_max_position = size_or(settings, "original_max_position_embeddings", max_position, where);
  const bool by_length = kind == "yarn" || kind == "longrope";
  const double lengths = static_cast<double>(max_position) / static_cast<double>(rope.original_max_position);
  rope.factor = positive(settings, "factor", by_length ? lengths : 1.0, where);
  if (kind == "linear")
    rope.scaling = Rope::Scaling::linear;
  else if (kind == "dynamic")
    rope.scaling = Rope::Scaling::dynamic;
  else if (kind == "llama3")
    parse_llama3(rope, settings, where);
  else if (kind == "yarn")
    parse_yarn(rope, settings, where);
  else if (kind == "longrope")
    parse_longrope(rope, settings, where);
  else if (kind == kProportional)
    parse_proportional(rope, settings, where);
  else
    fail(
        "{}: rope type '{}' is not supported; known are default, linear, dynamic, llama3, yarn, longrope, proportional",
        where, kind);
}

/// What multiplies cosine and sine where config.json says it, up to the original length and beyond (Phi-3.5-MoE).
void parse_magnitudes(Rope& rope, const json& settings, const std::string& where) {
  if (rope.scaling == Rope::Scaling::none) return;
  for (const char* key : {"short_mscale", "long_mscale"})
    if (!settings.contains(key)) fail("{}: '{}' of the rotary embedding is missing", where, key);
  if (rope.scaling != Rope::Scaling::longrope)
    fail("{}: 'short_mscale' and 'long_mscale' are computed with rope type longrope alone", where);
  rope.attention_factor = positive(settings, "short_mscale", 1.0, where);
  rope.long_attention_factor = positive(settings, "long_mscale", 1.0, where);
}

/// Yarn: divides the slow frequencies, leaves the fast ones, and blends those between.
void scale_yarn(const Rope& rope, std::vector<double>& frequencies) {
  const auto dim = static_cast<double>(rope.dims);
  const auto place = [&](double turns) {
    return dim * std::log(static_cast<double>(rope.original_max_position) / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(rope.theta));
  };
  double low = place(rope.beta_fast), high = place(rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] = frequencies[i] / rope.factor * ramp + frequencies[i] * (1 - ramp);
  }
}

/// Llama 3: divides the slow frequencies, leaves the fast ones, and blends those between.
double scale_llama3(const Rope& rope, double frequency) {
  const auto original = static_cast<double>(rope.original_max_position);
  const double wavelength = 2.0 * std::numbers::pi / frequency;
  const double low = original / rope.low_freq_factor, high = original / rope.high_freq_factor;
  if (wavelength > low) return frequency / rope.factor;
  if (wavelength < high || high == low) return frequency;
  const double smooth = (original / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return (1 - smooth) * frequency / rope.factor + smooth * frequency;
}

}  // namespace

Ropes parse_ropes(const json& config, const Family& family, const HeadSizes& sizes, std::size_t max_position,
                  const std::string& where) {
  const auto read = [&](const json& settings, std::size_t head_dim, double theta, bool scaled) {
    Rope rope;
    rope.interleaved = family.rope_interleaved && get_or<bool>(config, "rope_interleave", true, where);
    rope.backwards = family.rope_backwards;
    rope.dims = rotary_dims(config, settings, family, head_dim, where);
    rope.theta = positive(settings, "rope_theta", theta, where);
    rope.sections = get_or<std::vector<std::uint64_t>>(settings, "mrope_section", {}, where);
    const bool by_alpha = family.rope_alpha && has_alpha(settings, where);
    if (by_alpha) stretch_by_alpha(rope, settings, where);
    if (scaled && !by_alpha)
      parse_scaling(rope, settings, max_position, where);
    else
      rope.original_max_position = max_position;
    if (family.rope_magnitudes) parse_magnitudes(rope, settings, where);
    return rope;
  };
  const json full = settings_of(config, "full_attention", where);
  Ropes ropes;
  ropes.full = read(full, sizes.full, family.default_rope_theta, true);
  const auto parameters = config.find("rope_parameters");
  const bool by_kind =
      parameters != config.end() && parameters->is_object() && parameters->contains("sliding_attention");
  if (by_kind) {
    ropes.windowed =
        read(settings_of(config, "sliding_attention", where), sizes.windowed, family.window_rope_theta, true);
  } else if (family.window_rope) {
    json settings = full;
    settings.erase("rope_theta");
    const double theta = positive(config, family.window_rope_key, family.window_rope_theta, where);
    ropes.windowed = read(settings, sizes.windowed, theta, false);
  } else {
    ropes.windowed = read(full, sizes.windowed, family.default_rope_theta, true);
  }
  return ropes;
}

double attention_factor(const Rope& rope, std::size_t last_position) {
  const bool is_long = last_position >= rope.original_max_position;
  return is_long && rope.long_attention_factor != 0.0 ? rope.long_attention_factor : rope.attention_factor;
}

std::vector<double> inverse_frequencies(const Rope& rope, std::size_t last_position) {
  const auto dim = static_cast<double>(rope.dims);
  double theta = rope.theta;
  const auto length = static_cast<double>(last_position + 1);
  const auto original = static_cast<double>(rope.original_max_position);
  if (rope.scaling == Rope::Scaling::dynamic && length > original)
    theta *= std::pow(rope.factor * length / original - (rope.factor - 1), dim / (dim - 2));
  std::vector<double> result(rope.dims / 2);
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i] = 1.0 / std::pow(theta, 2.0 * static_cast<double>(i) / dim);
    if (rope.scaling == Rope::Scaling::linear || rope.scaling == Rope::Scaling::proportional) result[i] /= rope.factor;
    if (rope.scaling == Rope::Scaling::proportional && i >= rope.turned) result[i] = 0;
    if (rope.scaling == Rope::Scaling::llama3) result[i] = scale_llama3(rope, result[i]);
    if (rope.scaling == Rope::Scaling::longrope)
      result[i] /= (length > original ? rope.long_factors : rope.short_factors)[i];
  }
  if (rope.scaling == Rope::Scaling::yarn) scale_yarn(rope, result);
  return result;
}

}  // namespace strata::model
