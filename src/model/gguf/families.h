// What llama.cpp computes for an architecture of GGUF files beyond what all of them share: a row for each that differs.
// llama.cpp, src/models/*.cpp (what is fixed there) and convert_hf_to_gguf.py (keys, the order of rows).
#pragma once
#include <cstddef>
#include <string_view>

#include "core/json.h"
#include "format/gguf.h"
#include "format/gguf_write.h"
#include "model/families.h"

namespace strata::model {

struct GgufFamily {
  std::string_view name;     ///< general.architecture
  bool interleaved = false;  ///< rows of q and k are interleaved within a head
  Activation activation = Activation::silu;
  std::size_t window_pattern = 0;     ///< windows are on all blocks but every n-th; 0: llama.cpp has no windows
  bool needs_window = false;          ///< there is a window even where a file names none
  bool window_rope = false;           ///< blocks with a window have a rotary embedding without scaling
  std::size_t no_rope_step = 0;       ///< every n-th block has no rotary embedding; 0: all have one
  bool attention_softcap = false;     ///< there is a cap on scores, whether a file names it or not
  bool logit_softcap = false;         ///< the same for logits
  bool scales = false;                ///< keys hold the factors of embedding, attention, residual sums and logits
  bool embedding_by_hidden = false;   ///< the embedding's rows are multiplied by sqrt(hidden)
  std::size_t wide_query_blocks = 0;  ///< a model of so many blocks divides q by sqrt(hidden / heads), not of head_dim
};

/// The row of an architecture; for one without a row, what all of them share.
GgufFamily gguf_family(std::string_view name);

/// The factors that llama.cpp multiplies by when a file names none.
Scales fixed_scales(const GgufFamily& row, const Architecture& a);

/// Adds the keys of windows, caps, factors and the rotary embedding of blocks with a window.
void add_part_keys(format::GgufKeys& keys, const GgufFamily& row, const Architecture& a);

/// Sets in config.json what add_part_keys wrote, in the family's spelling. The sizes are there already.
void add_part_config(json& config, const format::GgufFile& gguf, const Family& family);

}  // namespace strata::model
