// Which keys of config.json hold the factors of a family's models.
// They are parts of its row (families.h).
#pragma once

namespace strata::model {

/// Keys of config.json for the factors of Scales. A family without a key does not have the factor.
struct ScaleKeys {
  bool embedding_by_hidden = false;      ///< the embedding's rows are multiplied by sqrt(hidden_size)
  const char* embedding_on = nullptr;    ///< a key without which being true they are not
  const char* embedding = nullptr;       ///< the embedding's rows are multiplied by the value
  const char* query_size = nullptr;      ///< products of q and k are divided by the value's square root, not head_dim's
  const char* attention = nullptr;       ///< products of q and k are multiplied by the value
  const char* residual = nullptr;        ///< what a half adds is multiplied by the value
  const char* depth = nullptr;           ///< what a half adds is multiplied by the value / sqrt(num_hidden_layers)
  const char* logits_divisor = nullptr;  ///< logits are divided by the value
  const char* logits = nullptr;          ///< logits are multiplied by the value
  const char* width = nullptr;           ///< logits are multiplied by the value / hidden_size
  bool plain_attention = false;          ///< products of q and k stay as they are
};

/// Those of Granite.
inline constexpr ScaleKeys kGraniteScales{.embedding = "embedding_multiplier",
                                          .attention = "attention_multiplier",
                                          .residual = "residual_multiplier",
                                          .logits_divisor = "logits_scaling"};

/// Keys for a factor of q that grows with the position (QueryScale), and which blocks it acts in.
struct QueryScaleKeys {
  const char* beta = nullptr;  ///< in config.json or in its rope_parameters; null: no such factor
  const char* length = nullptr;
  const char* on = nullptr;  ///< a key that turns it on; null: it is always on
  double first = 0.0;
  bool without_rope = false;  ///< acts in blocks without rotary embedding, not in all
};

}  // namespace strata::model
