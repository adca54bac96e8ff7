// Which linear reads at which site.
#include "engine/site.h"

#include <algorithm>

#include "core/error.h"

namespace strata::engine {

using model::Role;

Site input_site(Role role) {
  switch (role) {
    case Role::q:
    case Role::k:
    case Role::v:
    case Role::qkv:
    case Role::q_a:
    case Role::kv_a:
    case Role::in_qkv:
    case Role::in_z:
    case Role::in_b:
    case Role::in_a:
    case Role::in_qkvz:
    case Role::in_ba:
    case Role::in_bcx:
    case Role::in_zxbcdt:
      return Site::attn_in;
    case Role::q_b:
      return Site::q_b_in;
    case Role::kv_b:
      return Site::kv_b_in;
    case Role::o:
      return Site::o_in;
    case Role::gate:
    case Role::up:
    case Role::gate_up:
    case Role::to_latent:
      return Site::mlp_in;
    case Role::down:
      return Site::down_in;
    case Role::from_latent:
      return Site::from_latent_in;
    case Role::lm_head:
    case Role::embed:
      return Site::block_out;
    case Role::other:
      break;  // only models that are not run have such linears
  }
  STRATA_CHECK(false);
}

Site input_site(const model::Architecture& architecture, const model::Linear& linear) {
  const Site site = input_site(linear.role);
  return linear.routed() && site == Site::mlp_in && architecture.experts.latent != 0 ? Site::experts_in : site;
}

Half half_of(Site site) {
  STRATA_CHECK(std::ranges::find(kLinearSites, site) != kLinearSites.end());
  return site > Site::o_in ? Half::feed_forward : Half::attention;
}

bool reads_input(const model::Architecture& architecture, Half half) {
  return architecture.parallel && half == Half::feed_forward;
}

bool ends_half(const model::Architecture& architecture, std::size_t block, Site site) {
  if (!architecture.adds_outputs_plainly()) return false;
  return site == Site::o_in || (site == Site::down_in && !architecture.layout[block].mixture);
}

}  // namespace strata::engine
