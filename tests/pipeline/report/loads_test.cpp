// What inspect says about each target: which loads the files, and what to do for the others.
// A way that the program itself would refuse is not offered.
#include "pipeline/report/loads.h"

#include <gtest/gtest.h>

#include "support/tiny_model.h"

namespace strata::pipeline {
namespace loads_test {

std::string verdict_of_llama_cpp(const std::string& golden) {
  for (const Verdict& verdict : verdicts(model::Model::open(::strata::fixtures::golden_model(golden))))
    if (!verdict.target->extension().empty()) return verdict.text();
  return {};
}

TEST(Loads, AGgufFileIsOfferedOnlyForFamiliesThatHaveOne) {
  EXPECT_NE(verdict_of_llama_cpp("llama_tied").find("`strata convert` makes one"), std::string::npos);
  EXPECT_NE(verdict_of_llama_cpp("glm").find("those of glm models are not written here"), std::string::npos)
      << verdict_of_llama_cpp("glm");
}

}  // namespace loads_test
}  // namespace strata::pipeline
