// strata export-plan: a plan as other tools read it.
#include "cli/fixtures.h"

namespace strata {
namespace export_plan_test {

using fixtures::Cli, fixtures::Outcome;

TEST_F(Cli, PlansAreExportedToOtherTools) {
  ASSERT_EQ(run("plan model --preset prior --bits 6 --codecs int4_g32,int8_g32,keep -o plan.json").exit_code, 0);
  for (const char* tool : {"llm-compressor", "auto-round", "gptqmodel"}) {
    const Outcome outcome = run(fmt::format("export-plan plan.json --to {} --model model", tool));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(json::parse(outcome.out).is_object());
  }
  expect_refused("export-plan plan.json --to llama-quantize", "--for llama.cpp");
  expect_refused("export-plan plan.json --to abacus", "expected one of", 2);
  json gguf = read_json_file(folder_ / "plan.json");
  for (json& group : gguf["groups"]) group["codec"] = "q8_0";
  write_json_file(folder_ / "gguf.json", gguf);
  const Outcome types = run("export-plan gguf.json --to llama-quantize");
  EXPECT_NE(types.out.find("^blk\\.1\\.ffn_down\\.weight$=q8_0\n"), std::string::npos) << types.out;
  json plan = read_json_file(folder_ / "plan.json");
  const auto refused = [&](const std::function<void(json&)>& edit, const char* part) {
    json edited = plan;
    edit(edited);
    write_json_file(folder_ / "edited.json", edited);
    expect_refused("export-plan edited.json --to auto-round", part);
  };
  refused([](json& p) { p["groups"][0]["codec"] = "int9"; }, "int9");
  refused([](json& p) { p["groups"][0].erase("linears"); }, "linears");
  refused([](json& p) { p["groups"][1]["linears"] = p["groups"][0]["linears"]; }, "two groups");
  refused([](json& p) { p["format"] = "recipe"; }, "not a plan");
  refused([](json& p) { p["groups"] = 3; }, "groups");
}

}  // namespace export_plan_test
}  // namespace strata
