// config.json -> sizes of latent attention, whose q and k have more dimensions than its v.
// Keys and defaults are those of transformers' configuration_deepseek_v3.py.
#include <cmath>

#include "model/config_values.h"
#include "model/parse.h"

namespace strata::model {

void parse_latent(const json& config, Architecture& a, const std::string& where) {
  Latent& l = a.latent;
  l.q_rank = size_or(config, "q_lora_rank", 0, where);
  l.kv_rank = size_of(config, "kv_lora_rank", where);
  l.plain = size_of(config, "qk_nope_head_dim", where);
  l.turned = size_of(config, "qk_rope_head_dim", where);
  l.value = size_of(config, "v_head_dim", where);
  a.head_dim = l.plain + l.turned;
  a.kv_heads = a.heads;
  if (l.turned % 2 != 0) fail("{}: 'qk_rope_head_dim' {} must be even", where, l.turned);
  if (a.heads > kLargestSize / (a.head_dim + l.value))
    fail("{}: {} heads of {} and {} are too large", where, a.heads, a.head_dim, l.value);
}

}  // namespace strata::model
