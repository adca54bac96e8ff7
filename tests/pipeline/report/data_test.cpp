// Tests every part of a report's data on a tiny model, with parts missing and from hostile files, and that no text can
// break out of its place in the page.
#include "pipeline/report/data.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "core/file.h"
#include "importance/score.h"
#include "pipeline/choose/costs.h"
#include "pipeline/choose/planner.h"
#include "pipeline/report/page.h"
#include "support/random_tokens.h"
#include "support/tiny_model.h"

namespace strata::pipeline {
namespace data_test {

namespace fs = std::filesystem;
using ::strata::fixtures::error_of;

class ReportTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }

  importance::ScoreResult scored(std::initializer_list<const char*> signals) {
    importance::ScoreRequest request;
    for (const char* signal : signals) request.signals.push_back(&importance::signal_by_name(signal));
    for (const char* codec : {"int4_g32", "int8_channel", "keep"}) request.codecs.push_back(&codec::by_name(codec));
    request.measure.codecs = {&codec::by_name("int4_g32")};
    request.measure.tokens = 16;
    engine::Engine engine(model_);
    return importance::score(engine, random_tokens(a_.vocab, 2, 16, 1), request);
  }
  static std::vector<std::string> missing(const ReportData& data) {
    std::vector<std::string> parts;
    const json value = data.to_json();
    for (const json& entry : value["missing"]) parts.push_back(entry["part"]);
    return parts;
  }
  static std::string why(const ReportData& data, const std::string& part) {
    const json value = data.to_json();
    for (const json& entry : value["missing"])
      if (entry["part"] == part) return entry.value("why", "");
    return "not missing";
  }
  /// As eval::entry_of makes it; original "": none.
  static json evaluation(double perplexity, const std::string& model, const std::string& original) {
    json entry = {{"perplexity", perplexity}, {"model", {{"path", "out"}, {"fingerprint", model}}}};
    if (!original.empty()) entry["ref_model"] = {{"path", "model"}, {"fingerprint", original}};
    return entry;
  }
  fs::path write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  static void expect_refused(const fs::path& path, const std::string& part) {
    try {
      ReportData::read(path);
      ADD_FAILURE() << "was read: " << read_text_file(path);
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }

  const fs::path folder_ = fs::path(::testing::TempDir()) /
                           fmt::format("report_{}", ::testing::UnitTest::GetInstance()->current_test_info()->name());
  model::Model model_ = model::Model::open(fs::path(STRATA_TEST_DATA) / "golden/models/llama_tied");
  const model::Architecture& a_ = model_.architecture();
};

TEST_F(ReportTest, AnEmptyReportSaysHowToGetEveryPart) {
  const ReportData data;
  EXPECT_EQ(missing(data),
            (std::vector<std::string>{"plan", "evaluations", "signals", "pareto", "judge", "sweep", "texts"}));
  const json value = data.to_json();
  for (const json& entry : value["missing"]) EXPECT_FALSE(entry["commands"].empty()) << entry;
}

TEST_F(ReportTest, EveryPartOfATinyModel) {
  const auto result = scored({"lim", "zd", "act_mse", "alpha", "kl"});
  const Costs costs = costs_of(result.scores, a_);
  const Target& target = target_by_name("vllm");
  PlanRequest request;
  request.budget = BitsBudget{6.0};
  request.codecs = {"int4_g32", "int8_channel"};
  const Plan plan = make_plan({model_, target, request, costs}).plan;
  ReportData data;
  data.set_model(model_);
  data.set_plan(plan, a_, "strata quantize model");
  data.set_scores(result.scores, a_, result.seconds, "strata score model");
  data.set_trade_off(trade_off({model_, target, request, costs}), "strata score model");
  EXPECT_EQ(missing(data), (std::vector<std::string>{"evaluations", "sweep", "texts"}));

  const json value = data.to_json();
  EXPECT_EQ(value["model"]["fingerprint"], model_.fingerprint());
  EXPECT_EQ(value["grid"]["linears"].size(), a_.linears.size());
  EXPECT_EQ(value["grid"]["roles"].size(), 7u);
  ASSERT_EQ(value["plan"]["groups"].size(), a_.groups.size());
  EXPECT_DOUBLE_EQ(value["plan"]["bits"], plan.bits());
  for (std::size_t g = 0; g < a_.groups.size(); ++g)
    EXPECT_EQ(value["plan"]["groups"][g]["codec"], plan.groups[g].codec->name);
  std::map<std::string, std::size_t> counts = {
      {"block", a_.blocks}, {"group", a_.groups.size()}, {"linear", a_.linears.size()}};
  ASSERT_EQ(value["signals"].size(), 5u);
  for (const json& signal : value["signals"])
    EXPECT_EQ(signal["values"].size(), counts[signal["of"]]) << signal["name"];
  EXPECT_FALSE(result.scores.stability.empty());
  for (const auto& [name, stability] : result.scores.stability)
    for (const json& signal : value["signals"]) {
      if (signal["name"] != name) continue;
      EXPECT_EQ(signal["stability"], stability) << name;
    }
  EXPECT_EQ(value["judge"]["codec"], "int4_g32");
  EXPECT_TRUE(
      std::ranges::any_of(value["judge"]["signals"], [](const json& row) { return row["seconds"].is_number(); }));
  EXPECT_EQ(value["pareto"]["uniform"].size(), 2u);
}

TEST_F(ReportTest, KnowsTheMethodOfItsPlan) {
  PlanRequest request;
  request.preset = "uniform:int4_g32";
  ReportData data;
  EXPECT_EQ(data.method(), "rtn");
  Plan plan = make_plan({model_, target_by_name("vllm"), request, Costs{}}).plan;
  data.set_plan(plan, a_, "");
  EXPECT_EQ(data.method(), "rtn");
  plan.request["method"] = "gptq";
  data.set_plan(plan, a_, "");
  EXPECT_EQ(data.method(), "gptq");
  plan.request["method"] = 7;  // a plan written by hand
  data.set_plan(plan, a_, "");
  EXPECT_EQ(data.method(), "rtn");
}

TEST_F(ReportTest, TheCurveIsNoWorseThanAnyPlan) {
  const auto result = scored({"act_mse", "alpha"});
  const Costs costs = costs_of(result.scores, a_);
  const Target& target = target_by_name("vllm");
  PlanRequest request;
  request.codecs = {"int4_g32", "int8_channel", "keep"};
  const TradeOff all = trade_off({model_, target, request, costs}),
                 few = trade_off({model_, target, request, costs}, 3);
  ASSERT_GE(all.curve.size(), 3u);
  EXPECT_TRUE(std::ranges::is_sorted(all.curve, {}, &TradeOff::Point::bytes));
  EXPECT_TRUE(std::ranges::is_sorted(all.curve, std::greater<>(), &TradeOff::Point::cost));
  ASSERT_EQ(few.curve.size(), 3u);
  EXPECT_EQ(few.curve.front().bytes, all.curve.front().bytes);
  EXPECT_EQ(few.curve.back().bytes, all.curve.back().bytes);
  // The smallest plan is int4_g32 everywhere, so the curve begins at that codec's own point.
  ASSERT_EQ(all.uniform.size(), 2u);
  EXPECT_EQ(all.uniform[0].codec->name, std::string("int4_g32"));
  EXPECT_EQ(all.uniform[0].point.bytes, all.curve[0].bytes);
  EXPECT_NEAR(all.uniform[0].point.cost, all.curve[0].cost, 1e-9 * all.curve[0].cost);
  // A plan of the solver within the hull's range costs at least what the straight line between its neighbours says.
  request.budget = BitsBudget{6.0};
  const Plan plan = make_plan({model_, target, request, costs}).plan;
  const auto right = std::ranges::find_if(all.curve, [&](const auto& p) { return p.bytes >= plan.bytes(); });
  ASSERT_NE(right, all.curve.begin());
  const auto left = right - 1;
  const double part = static_cast<double>(plan.bytes() - left->bytes) / static_cast<double>(right->bytes - left->bytes);
  EXPECT_GE(plan.cost(), (left->cost + part * (right->cost - left->cost)) * (1 - 1e-9));
  EXPECT_TRUE(trade_off({model_, target, request, Costs{}}).curve.empty());
}

TEST_F(ReportTest, EvaluationsOfOneTextReplaceEachOther) {
  ReportData data;
  data.set_output("out", 123, "abc");
  data.add_evaluation(evaluation(10.0, "abc", "def"), "a", "one", "eval.json");
  data.add_evaluation(evaluation(11.0, "abc", "def"), "b", "two", "eval.json");
  data.add_evaluation(evaluation(12.0, "abc", "def"), "a", "three", "eval.json");
  const json list = data.to_json()["evaluations"];
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0]["perplexity"], 12.0);
  EXPECT_EQ(list[0]["command"], "three");
}

TEST_F(ReportTest, EvaluationsOfAnotherModelAreRefused) {
  ReportData data;
  const auto refused = [&](const json& entry, const std::string& part) {
    const std::string message = error_of([&] { data.add_evaluation(entry, "a text", "", "eval.json"); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_EQ(message.find("eval.json"), 0u) << message;
  };
  refused(evaluation(10.0, "abc", "def"), "of another model");  // nothing says yet which output this is
  data.set_output("out", 123, "abc");
  refused(evaluation(10.0, "abd", "def"), "fingerprint abd, this one has abc");
  refused({{"perplexity", 10.0}}, "of another model");
  data.set_model(model_);
  refused(evaluation(10.0, "abc", "def"), "another original");
  data.add_evaluation(evaluation(10.0, "abc", model_.fingerprint()), "a", "", "eval.json");
  data.add_evaluation(evaluation(10.0, "abc", ""), "perplexity alone", "", "eval.json");
  EXPECT_EQ(data.to_json()["evaluations"].size(), 2u);
}

TEST_F(ReportTest, KeptEvaluationsOfAnotherModelAreLeftOut) {
  const json data = {{"format", "strata report"},
                     {"version", 1},
                     {"output", {{"path", "out"}, {"fingerprint", "abc"}}},
                     {"evaluations", {{{"perplexity", 9.0}}, evaluation(10.0, "abd", "def")}}};
  EXPECT_TRUE(std::ranges::count(missing(ReportData::read(write("old", data.dump()))), "evaluations"));
  json with = data;
  with["evaluations"].push_back(evaluation(11.0, "abc", "def"));
  const json kept = ReportData::read(write("with", with.dump())).to_json()["evaluations"];
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0]["perplexity"], 11.0);
}

TEST_F(ReportTest, PartsOfAnotherOriginalAreRefused) {
  const json sweep = {{"format", "strata sweep"}, {"version", 1}, {"model", {{"fingerprint", "def"}}}};
  const json of_this = {{"format", "strata sweep"}, {"version", 1}, {"model", {{"fingerprint", model_.fingerprint()}}}};
  const json of_none = {{"format", "strata sweep"}, {"version", 1}};
  ReportData data;
  data.set_model(model_);
  EXPECT_NE(error_of([&] { data.set_sweep(sweep, "sweep", ""); }).find("another original"), std::string::npos);
  EXPECT_NE(error_of([&] { data.set_sweep(of_none, "sweep", ""); }).find("sweep again"), std::string::npos);
  data.set_sweep(of_this, "sweep", "");
  ReportData of_sweep;
  of_sweep.set_sweep(sweep, "sweep", "");
  EXPECT_EQ(of_sweep.original_fingerprint(), "def");
  EXPECT_NE(error_of([&] { of_sweep.set_model(model_); }).find("not the original"), std::string::npos);
  // A checkpoint does not say what it was made from, but its linears do not lie.
  const auto other = model::Model::open(fs::path(STRATA_TEST_DATA) / "golden/models/qwen3");
  ReportData bare;
  bare.set_plan(other, "");
  bare.set_output("out", 123, "abc");
  EXPECT_NE(error_of([&] { bare.set_model(model_); }).find("has other linears"), std::string::npos);
  EXPECT_NO_THROW(bare.set_model(other));
}

TEST_F(ReportTest, RulesAreNoMeasuredLoss) {
  PlanRequest request;
  request.preset = "prior";
  request.budget = BitsBudget{6.0};
  ReportData data;
  data.set_model(model_);
  data.set_plan(make_plan({model_, target_by_name("vllm"), request, Costs{}}).plan, a_, "");
  EXPECT_EQ(data.to_json()["plan"]["cost_signal"], "");
  EXPECT_TRUE(data.to_json()["plan"]["groups"][0]["cost"].is_null());
  EXPECT_NE(why(data, "losses").find("prior follows rules"), std::string::npos);

  data.set_scores(scored({"lim", "zd"}).scores, a_, {}, "");
  data.set_costs(costs_of(scored({"lim", "zd"}).scores, a_), a_);
  EXPECT_EQ(data.to_json()["plan"]["cost_signal"], "");
  EXPECT_NE(why(data, "losses").find("lim, zd, and none of these prices"), std::string::npos) << why(data, "losses");
  EXPECT_EQ(why(data, "pareto"), why(data, "losses"));

  // Scores of every codec of the plan price it.
  const Costs costs = costs_of(scored({"act_mse", "alpha"}).scores, a_);
  request.codecs = {"int4_g32", "int8_channel"};
  data.set_plan(make_plan({model_, target_by_name("vllm"), request, Costs{}}).plan, a_, "");
  data.set_costs(costs, a_);
  const json plan = data.to_json()["plan"];
  EXPECT_EQ(plan["cost_signal"], "alpha x act_mse");
  EXPECT_GT(plan["groups"][0]["cost"], 0.0);
  EXPECT_DOUBLE_EQ(plan["cost"], plan["block_cost"]) << "the head is tied";
  EXPECT_EQ(why(data, "losses"), "not missing");
}

TEST_F(ReportTest, WhatIsWrittenIsReadBack) {
  ReportData data;
  data.set_model(model_);
  data.set_output("out", 123, "abc");
  write_report(data, folder_ / "out.report.json", folder_ / "out.report.html");
  const ReportData back = ReportData::read(folder_ / "out.report.json");
  EXPECT_EQ(back.to_json(), data.to_json());
  EXPECT_EQ(back.output_fingerprint(), "abc");
  EXPECT_EQ(back.original_fingerprint(), model_.fingerprint());
}

TEST_F(ReportTest, HostileDataIsRefused) {
  expect_refused(write("a", ""), "JSON");
  expect_refused(write("b", "[]"), "not the data of a report");
  expect_refused(write("c", R"({"format": "strata report"})"), "version");
  expect_refused(write("d", R"({"format": "strata report", "version": 99})"), "version 99");
  expect_refused(write("e", R"({"format": "strata report", "version": 1, "plan": [1]})"), "'plan' is not an object");
  expect_refused(write("f", R"({"format": "strata report", "version": 1, "signals": {}})"), "'signals' is not a list");
  ReportData data;
  EXPECT_THROW(data.set_sweep(json::array(), "x", ""), Error);
  EXPECT_THROW(data.set_sweep({{"format", "strata sweep"}, {"version", 2}}, "x", ""), Error);
}

TEST(ReportPage, NoTextEndsTheScript) {
  const std::string hostile = "</script><!--<script>alert(1)</script>&amp;\xE2\x80\xA8\xE2\x80\xA9\xE2\x80\"\\\n";
  const std::string text = script_json({{hostile, hostile}, {"bad", "a\xFFz"}, {"kept", "é€"}});
  for (const char* part : {"<", ">", "&", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xFF", "\n"})
    EXPECT_EQ(text.find(part), std::string::npos) << part;
  const json back = json::parse(text);
  EXPECT_EQ(back["bad"], "a\xEF\xBF\xBDz");
  EXPECT_EQ(back["kept"], "é€");
  EXPECT_NE(text.find("\\u003c/script\\u003e"), std::string::npos);
}

TEST(ReportPage, DataStandsInThePageOnce) {
  if (report_page().empty()) {
    EXPECT_THROW(render_report({}), Error);
    GTEST_SKIP() << "built with STRATA_REPORT=OFF";
  }
  EXPECT_LT(report_page().size(), 1'500'000u);
  const json data = {{"name", "</script>"}};
  const std::string page = render_report(data), script = "<script type=\"application/json\" id=\"data\">";
  const std::size_t begin = page.find(script);
  ASSERT_NE(begin, std::string::npos);
  const std::size_t from = begin + script.size();
  EXPECT_EQ(json::parse(page.substr(from, page.find("</script>", from) - from)), data);
  for (const char* link : {"src=\"http", "href=\"http", "src=\"/", "@import"})
    EXPECT_EQ(page.find(link), std::string::npos) << link;
}

TEST(ReportNames, FilesStandBesideTheOutput) {
  EXPECT_EQ(beside("a/out", ".report.html"), fs::path("a/out.report.html"));
  EXPECT_EQ(beside("a/out/", ".report.html"), fs::path("a/out.report.html"));
  EXPECT_EQ(beside("model.gguf", ".report.json"), fs::path("model.gguf.report.json"));
}

TEST(ReportNames, CommandsCanBePastedIntoAShell) {
  EXPECT_EQ(shell_command(std::vector<std::string>{"strata", "eval", "my model", "--x=1", "it's", "$(rm)", ""}),
            "strata eval 'my model' --x=1 'it'\\''s' '$(rm)' ''");
}

}  // namespace data_test
}  // namespace strata::pipeline
