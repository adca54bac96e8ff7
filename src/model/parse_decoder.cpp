// config.json -> what Falcon's blocks are made of: one of three orders of q, k and v, and one of three places of norms.
// transformers: modeling_falcon.py.
#include "model/config_values.h"
#include "model/parse.h"

namespace strata::model {

void parse_decoder(json& config, Architecture& a, const std::string& where) {
  const bool later = get_or<bool>(config, "new_decoder_architecture", false, where);
  const bool parallel = get_or<bool>(config, "parallel_attn", true, where);
  if (later && !parallel)
    fail("{}: 'parallel_attn' is false beside 'new_decoder_architecture', which no Falcon model has", where);
  const std::size_t heads = size_of(config, "num_attention_heads", where);
  const bool shared = get_or<bool>(config, "multi_query", true, where);
  config["num_key_value_heads"] = later ? size_or(config, "num_kv_heads", heads, where) : shared ? 1 : heads;
  if (!parallel) return;
  const bool two_norms = later && size_or(config, "num_ln_in_parallel_attn", 2, where) == 2;
  if (two_norms) a.names.before_attention = "ln_attn";
  a.names.before_feed_forward = two_norms ? std::string_view("ln_mlp") : std::string_view();
}

}  // namespace strata::model
