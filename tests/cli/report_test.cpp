// strata report, and the report that quantize leaves.
#include "cli/fixtures.h"

namespace strata {
namespace report_test {

using fixtures::Cli, fixtures::Outcome;
namespace fs = std::filesystem;

TEST_F(Cli, QuantizeLeavesAReportBesideItsOutput) {
  ASSERT_EQ(run(kQuantize).exit_code, 0);
  const json data = read_json_file(folder_ / "out.report.json");
  EXPECT_EQ(data["plan"]["command"], std::string("strata ") + kQuantize);
  EXPECT_EQ(data["output"]["path"], "out");
  EXPECT_FALSE(fs::exists(folder_ / "out/report.html"));
  fs::remove_all(folder_ / "out.report.json");
  ASSERT_EQ(run(std::string(kQuantize) + " --overwrite --no-report").exit_code, 0);
  EXPECT_FALSE(fs::exists(folder_ / "out.report.json"));
}

TEST_F(Cli, ReportGathersWhatIsThere) {
  ASSERT_EQ(run(std::string(kQuantize) + " --no-report").exit_code, 0);
  const Outcome bare = run("report out --json");
  if (bare.err.find("STRATA_REPORT") != std::string::npos) GTEST_SKIP() << "built without the page";
  ASSERT_EQ(bare.exit_code, 0) << bare.err;
  EXPECT_EQ(json::parse(bare.out)["plan"]["groups"][0]["codec"], "int4_g32");
  EXPECT_TRUE(fs::exists(folder_ / "out.report.html"));
  const json out = {{"path", "out"}, {"fingerprint", json::parse(run("inspect out --json").out)["fingerprint"]}};
  const json original = {{"path", "model"},
                         {"fingerprint", json::parse(run("inspect model --json").out)["fingerprint"]}};
  json evaluation = {
      {"format", "strata evaluation"}, {"version", 1}, {"perplexity", 9.5}, {"model", out}, {"ref_model", original}};
  evaluation["text"] = {{"file", "<b>"}, {"samples", 2}, {"seq_len", 8}};
  write_json_file(folder_ / "eval.json", evaluation);
  const Outcome more = run("report out --ref model --eval eval.json -o page.html --json");
  ASSERT_EQ(more.exit_code, 0) << more.err;
  EXPECT_EQ(json::parse(more.out)["evaluations"][0]["text"], "2 x 8 tokens of <b>");
  EXPECT_EQ(json::parse(more.out)["model"]["name"], "model");
  EXPECT_EQ(read_text_file(folder_ / "page.html").find("of <b>"), std::string::npos);
  EXPECT_EQ(json::parse(run("report out --json").out)["evaluations"].size(), 1u) << "it is kept beside the output";

  const auto refused = [&](const std::string& arguments, const char* part, int exit_code = 1) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, exit_code) << arguments;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << arguments << "\n" << outcome.err;
  };
  refused("report nowhere", "does not exist");
  refused("report out --scores scores.json", "--ref", 2);
  refused("report out --eval out/config.json", "not an evaluation");
  refused("report out --sweep eval.json", "not a sweep");
  refused("report out --ref out --texts", "not the original");
  const auto refuses_changed = [&](const char* key, const json& value, const char* part) {
    json changed = evaluation;
    changed[key] = value;
    write_json_file(folder_ / "changed.json", changed);
    refused("report out --eval changed.json", part);
  };
  refuses_changed("model", original, "is the evaluation of model");
  refuses_changed("ref_model", out, "another original");
  refuses_changed("format", json(), "evaluate again");
  ASSERT_EQ(run("plan model --preset uniform:int8_g32 -o other.json").exit_code, 0);
  refused("report out --ref model --plan other.json", "give the plan that out was made with");
  ASSERT_EQ(
      run("quantize model -o out --preset uniform:nvfp4 --scale minmax --no-verify --no-report --overwrite").exit_code,
      0);
  refused("report out", "another checkpoint");
}

}  // namespace report_test
}  // namespace strata
