// Rotary embeddings: their parameters, and the frequencies that positions are turned by.
// transformers, modeling_rope_utils.py: default, linear, dynamic, llama3, yarn, longrope, proportional.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"

namespace strata::model {

struct Rope {
  enum class Scaling { none, linear, dynamic, llama3, yarn, longrope, proportional };
  double theta = 10000.0;
  std::size_t dims = 0;  ///< how many dimensions of a head are rotated: the first ones
  Scaling scaling = Scaling::none;
  double factor = 1.0;
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  ///< used by llama3
  std::size_t original_max_position = 0;                 ///< used by llama3, dynamic, yarn and longrope
  double beta_fast = 32.0, beta_slow = 1.0;              ///< used by yarn
  bool truncate = true;                                  ///< used by yarn: its range is cut to whole dimensions
  std::vector<double> short_factors, long_factors;       ///< used by longrope: divisors of the frequencies
  std::size_t turned = 0;         ///< used by proportional: how many pairs turn, the first ones; the others stay
  double attention_factor = 1.0;  ///< multiplies cosine and sine; yarn and longrope
  double scores_factor = 1.0;     ///< multiplies the scores of latent attention; yarn
  std::vector<std::uint64_t>
      sections;              ///< of an embedding of images: pairs turned by time, height, width; of text alike
  bool interleaved = false;  ///< dimensions 2i and 2i + 1 turn together, not i and i + half
  bool backwards = false;    ///< they turn the other way
  double long_attention_factor = 0.0;  ///< attention_factor beyond the original length; 0: the same
  bool operator==(const Rope&) const = default;
};

/// The inverse frequencies, dims / 2 of them, for a call whose last position is `last_position` (only dynamic scaling
/// and longrope depend on it). The angle of position p is p times the frequency.
std::vector<double> inverse_frequencies(const Rope& rope, std::size_t last_position);

/// What multiplies cosine and sine in such a call.
double attention_factor(const Rope& rope, std::size_t last_position);

/// How much yarn multiplies cosine and sine by when it stretches positions by `scale`: 1 + 0.1 mscale ln(scale), or 1
/// when they are not stretched.
double yarn_magnitude(double scale, double mscale);

struct Family;
/// The rotary embeddings of config.json: of blocks that see all keys and of blocks with a window.
struct Ropes {
  Rope full, windowed;
};
/// How many dimensions their heads have.
struct HeadSizes {
  std::size_t full = 0, windowed = 0;
};
/// Reads the rope_scaling of transformers 4 and the rope_parameters of 5, where they are by kind of block too; where
/// both are there, a value of rope_scaling counts before that of rope_parameters. `where` names the file. Throws Error
/// for a kind of scaling that is not known here.
Ropes parse_ropes(const json& config, const Family& family, const HeadSizes& sizes, std::size_t max_position,
                  const std::string& where);

}  // namespace strata::model
