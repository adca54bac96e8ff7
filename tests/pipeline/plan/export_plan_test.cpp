// For every codec an exporter either has a scheme or says why not, in a sentence.
// tests/peers/test_export.py tests what the tools make of the recipes.
#include "pipeline/plan/export_plan.h"

#include <gtest/gtest.h>

namespace strata::pipeline {
namespace export_plan_test {

TEST(ExportPlan, EveryToolHoldsACodecOrSaysWhyNot) {
  for (const Exporter& exporter : exporters())
    for (const codec::Codec& codec : codec::all()) {
      const ExportedPlan plan = {{{"model.layers.0.self_attn.q_proj", &codec}}};
      if (!codec.has_codes()) continue;
      if (exporter.why_not(codec).empty())
        EXPECT_FALSE(export_plan(plan, exporter).empty()) << exporter.name << " " << codec.name;
      else
        EXPECT_THROW(export_plan(plan, exporter), Error) << exporter.name << " " << codec.name;
    }
}

TEST(ExportPlan, AFamilyThatAToolDoesNotKnowIsRefusedInASentence) {
  codec::Codec strange = codec::by_name("fp8_channel");
  strange.family = static_cast<codec::Family>(99);
  const ExportedPlan plan = {{{"model.layers.0.self_attn.q_proj", &strange}}};
  for (const char* tool : {"auto-round", "gptqmodel"}) {
    try {
      export_plan(plan, exporter_by_name(tool));
      FAIL() << tool;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("model.layers.0.self_attn.q_proj"), std::string::npos) << error.what();
    }
  }
}

}  // namespace export_plan_test
}  // namespace strata::pipeline
