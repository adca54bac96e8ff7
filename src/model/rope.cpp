// Parsing and frequencies of rotary embeddings. Keys and defaults are those of transformers.
// Formulas: modeling_rope_utils.py.
#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/config_values.h"
#include "model/families.h"

namespace strata::model {
namespace {

/// How many dimensions of a head are rotated.
std::size_t rotary_dims(const json& config, const Family& family, std::size_t head_dim, const std::string& where) {
  double share = positive(config, "partial_rotary_factor", family.default_rotary_share, where);
  for (const char* key : {"rope_parameters", "rope_scaling"})
    if (const auto it = config.find(key); it != config.end() && it->is_object())
      share = positive(*it, "partial_rotary_factor", share, where);
  const auto dims = static_cast<std::size_t>(static_cast<double>(head_dim) * std::min(share, 2.0));
  if (dims == 0 || dims % 2 != 0 || dims > head_dim)
    fail("{}: 'partial_rotary_factor' {} of a head of {} is not an even part of it", where, share, head_dim);
  return dims;
}

}  // namespace

Rope parse_rope(const json& config, const Family& family, std::size_t head_dim, std::size_t max_position,
                const std::string& where) {
  Rope rope;
  rope.dims = rotary_dims(config, family, head_dim, where);
  rope.theta = positive(config, "rope_theta", family.default_rope_theta, where);
  rope.original_max_position = max_position;
  const char* key = config.contains("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const auto it = config.find(key);
  if (it == config.end() || it->is_null()) return rope;
  if (!it->is_object()) fail("{}: '{}' is not an object", where, key);
  const json& scaling = *it;
  rope.theta = positive(scaling, "rope_theta", rope.theta, where);
  const auto kind =
      get_or<std::string>(scaling, "rope_type", get_or<std::string>(scaling, "type", "default", where), where);
  if (kind == "default") return rope;
  if (kind == "linear") {
    rope.scaling = Rope::Scaling::linear;
  } else if (kind == "dynamic") {
    rope.scaling = Rope::Scaling::dynamic;
  } else if (kind == "llama3") {
    rope.scaling = Rope::Scaling::llama3;
    rope.low_freq_factor = positive(scaling, "low_freq_factor", 1.0, where);
    rope.high_freq_factor = positive(scaling, "high_freq_factor", 4.0, where);
    rope.original_max_position = size_or(scaling, "original_max_position_embeddings", max_position, where);
    if (rope.high_freq_factor <= rope.low_freq_factor)
      fail("{}: '{}.high_freq_factor' must exceed low_freq_factor", where, key);
  } else {
    fail("{}: rope type '{}' is not supported; known are default, linear, dynamic, llama3", where, kind);
  }
  rope.factor = positive(scaling, "factor", 1.0, where);
  return rope;
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
    double frequency = 1.0 / std::pow(theta, 2.0 * static_cast<double>(i) / dim);
    if (rope.scaling == Rope::Scaling::linear) frequency /= rope.factor;
    if (rope.scaling == Rope::Scaling::llama3) {
      const double wavelength = 2.0 * std::numbers::pi / frequency;
      const double low = original / rope.low_freq_factor, high = original / rope.high_freq_factor;
      if (wavelength > low) {
        frequency /= rope.factor;
      } else if (wavelength >= high) {
        const double smooth =
            (original / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
        frequency = (1 - smooth) * frequency / rope.factor + smooth * frequency;
      }
    }
    result[i] = frequency;
  }
  return result;
}

}  // namespace strata::model
