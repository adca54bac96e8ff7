// The names that are suggested for a wrong one are those that were probably meant.
#include "core/suggest.h"

#include <gtest/gtest.h>

namespace strata {
namespace suggest_test {

TEST(Suggest, CountsTheFewestChanges) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("int4_g64", "int4_g64"), 0u);
  EXPECT_EQ(edit_distance("int4_g46", "int4_g64"), 1u) << "two letters swapped";
  EXPECT_EQ(edit_distance("Q4_K", "q4_k"), 0u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
}

TEST(Suggest, NamesTheNearest) {
  const std::vector<std::string> known = {"int4_g32", "int4_g64", "int8_channel", "fp8_channel", "nvfp4"};
  EXPECT_EQ(nearest_names("int4_g46", known), std::vector<std::string>{"int4_g64"});
  EXPECT_EQ(nearest_names("nvfp", known), std::vector<std::string>{"nvfp4"});
  EXPECT_EQ(nearest_names("int8", known), std::vector<std::string>{"int8_channel"}) << "a beginning is near";
  EXPECT_TRUE(nearest_names("zzzz", known).empty());
  EXPECT_EQ(did_you_mean("zzzz", known), "");
  EXPECT_EQ(did_you_mean("nvpf4", known), " (did you mean nvfp4?)");
}

}  // namespace suggest_test
}  // namespace strata
