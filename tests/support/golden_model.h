// Where the golden models lie: tiny random models with transformers' logits (tests/golden/README.md).
#pragma once
#include <filesystem>
#include <string>

namespace strata {

inline std::filesystem::path golden_model(const std::string& name) {
  return std::filesystem::path(STRATA_TEST_DATA) / "golden/models" / name;
}

}  // namespace strata
