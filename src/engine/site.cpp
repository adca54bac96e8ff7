// Which linear reads at which site.
#include "engine/site.h"

#include "core/error.h"

namespace strata::engine {

using model::Role;

Site input_site(Role role) {
  switch (role) {
    case Role::q:
    case Role::k:
    case Role::v:
    case Role::qkv:
      return Site::attn_in;
    case Role::o:
      return Site::o_in;
    case Role::gate:
    case Role::up:
    case Role::gate_up:
      return Site::mlp_in;
    case Role::down:
      return Site::down_in;
    case Role::lm_head:
    case Role::embed:
      return Site::block_out;
    case Role::other:
      break;  // only models that are not run have such linears
  }
  STRATA_CHECK(false);
}

Half half_of(Site site) {
  const bool attends = site == Site::attn_in || site == Site::o_in;
  STRATA_CHECK(attends || site == Site::mlp_in || site == Site::down_in);
  return attends ? Half::attention : Half::feed_forward;
}

bool reads_input(const model::Architecture& architecture, Half half) {
  return architecture.parallel && half == Half::feed_forward;
}

bool ends_half(const model::Architecture& architecture, std::size_t block, Site site) {
  if (!architecture.adds_outputs_plainly()) return false;
  return site == Site::o_in || (site == Site::down_in && !architecture.layout[block].mixture);
}

}  // namespace strata::engine
