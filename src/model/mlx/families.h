// What mlx_lm holds otherwise than the original files of a family, and which families it holds at all.
// Read in mlx_lm 0.32.2, models/*.py: the parameters of Model are what a folder must hold, whatever sanitize() renames.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "model/architecture.h"

namespace strata::model {

/// Empty when a folder for mlx_lm can hold models of this architecture, else why not.
std::string why_not_mlx(const Architecture& architecture);

/// Whether mlx_lm takes this linear apart when it loads it, so that codes of its rows would be lost.
bool taken_apart_by_mlx(const Architecture& architecture, const Linear& linear);

/// All experts' linears of one role, which are one module in mlx_lm with the experts as its first extent.
struct MlxStack {
  std::string module;                  ///< "model.layers.3.mlp.switch_mlp.up_proj"
  std::vector<std::size_t> linears{};  ///< by index into Architecture::linears, in the order of the experts
};
/// The stacks of a mixture block, for an architecture that why_not_mlx allows.
std::vector<MlxStack> mlx_stacks(const Architecture& architecture, std::size_t block);

/// Where files that mlx_lm has written may have a block's stacks: modules whose linears are "gate_proj", "up_proj" and
/// "down_proj".
std::vector<std::string> mlx_stack_modules(const Architecture& architecture, std::size_t block);
/// What the linears of a role are called in a stack.
std::string_view mlx_role_name(Role role);

/// Says the rotary embedding in the keys that mlx_lm reads, where config.json has the object "rope_parameters" alone.
void say_rope_for_mlx(json& config);

}  // namespace strata::model
