// A weight outside of the linears that is not finite is named where results are not.
#include "model/damage.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/tiny_model.h"

namespace strata::model {
namespace damage_test {

using strata::fixtures::TinyModel;

TEST(Damage, TheFirstWeightThatIsNotFiniteIsNamed) {
  const auto message = [](const char* tensor, std::size_t index) {
    TinyModel tiny("llama_tied");
    if (tensor != nullptr) tiny.set_element(tensor, index, std::numeric_limits<float>::quiet_NaN());
    const Model model = Model::open(tiny.path());
    return error_of([&] { fail_not_finite(model, "the result is not finite", "something else"); });
  };
  const auto ends = [](const std::string& text, const char* ending) { return text.ends_with(ending); };
  EXPECT_PRED2(ends, message(nullptr, 0), ": the result is not finite; something else");
  EXPECT_PRED2(ends, message("model.layers.0.mlp.up_proj.weight", 3), "; something else") << "scans of linears see it";
  EXPECT_NE(message("model.norm.weight", 5).find("model.norm.weight: weight [5] is nan: the file is damaged"),
            std::string::npos);
  EXPECT_NE(message("model.embed_tokens.weight", 5).find("model.embed_tokens.weight: weight [0, 5] is nan"),
            std::string::npos);
}

}  // namespace damage_test
}  // namespace strata::model
