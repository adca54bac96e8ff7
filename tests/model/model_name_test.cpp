// Names of models by where they lie.
#include "model/model_name.h"

#include <gtest/gtest.h>

namespace strata::model {
namespace model_name_test {

TEST(ModelName, IsThatOfTheFolderOrTheFile) {
  EXPECT_EQ(model_name("/a/SmolLM2"), "SmolLM2");
  EXPECT_EQ(model_name("/a/SmolLM2/"), "SmolLM2");
  EXPECT_EQ(model_name("/a/b/../SmolLM2/."), "SmolLM2");
  EXPECT_EQ(model_name("/a/q4.gguf"), "q4.gguf");
}

TEST(ModelName, IsThatOnTheHubWhereAFolderIsNamedByAHash) {
  EXPECT_EQ(model_name("/c/hub/models--org--name/snapshots/0123"), "org/name");
  EXPECT_EQ(model_name("/c/hub/models--org--name/snapshots/0123/q4.gguf"), "org/name");
}

}  // namespace model_name_test
}  // namespace strata::model
