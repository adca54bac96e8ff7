// A model's name, read off where it lies.
// A path that ends in a slash or a point still has a name: that of the folder that it means.
#include "model/model_name.h"

#include "hub/cache.h"

namespace strata::model {

std::string model_name(const std::filesystem::path& path) {
  if (std::string hub = hub::repository_of(path); !hub.empty()) return hub;
  const std::filesystem::path named = std::filesystem::absolute(path).lexically_normal();
  return (named.has_filename() ? named : named.parent_path()).filename().string();
}

}  // namespace strata::model
