// Which linear reads at which site.
#include "engine/site.h"

#include <algorithm>

#include "core/error.h"
#include "model/roles.h"

namespace strata::engine {

Site input_site(model::Role role) {
  const model::RoleRow& row = model::role_row(role);
  STRATA_CHECK(row.site, "{} reads at no site", row.name);
  return *row.site;
}

Site input_site(const model::Architecture& architecture, const model::Linear& linear) {
  const Site site = input_site(linear.role);
  const model::Experts& experts = architecture.experts;
  const bool apart = experts.latent != 0 || experts.beside_dense;
  return linear.routed() && site == Site::mlp_in && apart ? Site::experts_in : site;
}

bool reads_as_before(const model::Architecture& a, std::size_t index) {
  return index > 0 && a.linears[index - 1].block == a.linears[index].block &&
         input_site(a.linears[index - 1].role) == input_site(a.linears[index].role);
}

Half half_of(Site site) {
  STRATA_CHECK(std::ranges::find(kLinearSites, site) != kLinearSites.end());
  return site >= Site::mlp_in ? Half::feed_forward : Half::attention;
}

bool reads_input(const model::Architecture& architecture, Half half) {
  return architecture.parallel && half == Half::feed_forward;
}

bool ends_half(const model::Architecture& architecture, std::size_t block, Site site) {
  if (!architecture.adds_outputs_plainly()) return false;
  return site == Site::o_in || (site == Site::down_in && !architecture.layout[block].mixture);
}

}  // namespace strata::engine
