// What is asked of a kind of mixer: a row of functions, which the kind's file in this folder fills in. A row leaves out
// what its kind does not have. The table of all rows is in mixers.cpp; how the engine runs them, in engine/mixers.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "model/architecture.h"
#include "model/tensors.h"

namespace strata::model {

/// A weight matrix (rows, cols) of a mixer.
struct MixerLinear {
  Role role;
  std::size_t rows, cols;
  bool bias = false;
  /// The module within the block; empty: the usual one of the role (Names::linear).
  std::string name = {};
  /// The matrix within the block that a runtime makes of this linear and its neighbours in the same group, which share
  /// a codec; empty: it stays alone.
  std::string group = {};
};

/// How many values there are of a block's mixer.
struct MixerSizes {
  std::size_t mixed = 0;  ///< that o reads of a token
  std::size_t cache = 0;  ///< that every token leaves to later ones
  std::size_t state = 0;  ///< that all tokens together leave to later ones
};

/// In place of what a kind does not have.
template <class Result, class... Arguments>
Result nothing(Arguments...) {
  return Result();
}

struct MixerKind {
  Mixer mixer;
  std::string_view name;                            ///< as docs/families.md has it
  std::string_view TensorNames::*module = nullptr;  ///< what names of its tensors begin with, within a block
  std::string_view held = {};                       ///< what vLLM calls that module in every family; empty: as files do

  /// Puts what config.json may say in several ways into the form that is read, before any of it is. Called in families
  /// with this Family::mixer, as is `parse`.
  void (*prepare)(json& config, const Family& family, const std::string& where) = nothing;
  /// Reads its sizes and says which blocks have it; the others attend. The model's sizes, its experts and which blocks
  /// hold them are known by then; sizes of heads are not, and are read only where this leaves head_dim 0. Throws Error
  /// for sizes that are missing or too large; `where` names the file.
  void (*parse)(const json& config, const Family& family, Architecture& architecture,
                const std::string& where) = nothing;

  /// The linears of a block in the order of the sites that they read, those of a group one after another; o is last.
  std::vector<MixerLinear> (*linears)(const Architecture& architecture, std::size_t block) = nothing;
  /// What a block has beside its linears and norms. It is never quantized.
  std::vector<ExpectedTensor> (*kept)(const Architecture& architecture, std::size_t block) = nothing;
  MixerSizes (*sizes)(const Architecture& architecture, std::size_t block) = nothing;
  /// How many weights one of kMixerNorms has in a block; 0: there is no such norm.
  std::size_t (*norm_size)(const Architecture& architecture, Norm norm, std::size_t block) = nothing;
  /// How many floats a forward pass makes of a token in a block, beside hidden states; 0 where no block has the mixer.
  std::size_t (*floats)(const Architecture& architecture) = nothing;
};

extern const MixerKind kAttentionMixer, kLatentMixer, kDeltaMixer, kConvolutionMixer, kMambaMixer, kSelectiveMixer;

/// All kinds, Mixer::none among them.
std::span<const MixerKind* const> mixer_kinds();
const MixerKind& mixer_kind(Mixer mixer);
inline const MixerKind& mixer_kind(const Architecture& architecture, std::size_t block) {
  return mixer_kind(architecture.attention[block].mixer);
}

/// A tensor of a block's mixer (kept_name) that is copied as the source has it.
ExpectedTensor kept_tensor(const Architecture& architecture, std::size_t block, std::string_view part,
                           std::vector<std::uint64_t> shape);

}  // namespace strata::model
