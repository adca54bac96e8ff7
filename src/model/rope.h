// Rotary embeddings: their parameters, and the frequencies that positions are turned by.
// transformers, modeling_rope_utils.py: default, linear, dynamic, llama3.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "core/json.h"

namespace strata::model {

struct Rope {
  enum class Scaling { none, linear, dynamic, llama3 };
  double theta = 10000.0;
  std::size_t dims = 0;  ///< how many dimensions of a head are rotated: the first ones
  Scaling scaling = Scaling::none;
  double factor = 1.0;
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  ///< used by llama3
  std::size_t original_max_position = 0;                 ///< used by llama3 and dynamic
};

/// The inverse frequencies, dims / 2 of them, for a call whose last position is `last_position` (only dynamic scaling
/// depends on it). The angle of position p is p times the frequency.
std::vector<double> inverse_frequencies(const Rope& rope, std::size_t last_position);

struct Family;
/// The rotary embedding of config.json for heads of `head_dim`. Reads both the rope_scaling of transformers 4 and the
/// rope_parameters of 5. `where` names the file. Throws Error for a kind of scaling that is not known here.
Rope parse_rope(const json& config, const Family& family, std::size_t head_dim, std::size_t max_position,
                const std::string& where);

}  // namespace strata::model
