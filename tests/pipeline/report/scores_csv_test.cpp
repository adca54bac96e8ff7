// The table of scores has every value once, with its standard error, in cells that any reader of CSV can split.
#include "pipeline/report/scores_csv.h"

#include <sstream>

#include "importance/score.h"
#include "support/random_tokens.h"
#include "support/tiny_model.h"

namespace strata::pipeline {
namespace scores_csv_test {

using ::strata::fixtures::golden_model;

std::vector<std::vector<std::string>> rows_of(const std::string& csv) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(csv);
  for (std::string line; std::getline(lines, line);) {
    rows.emplace_back();
    std::istringstream cells(line + ",");
    for (std::string text; std::getline(cells, text, ',');) rows.back().push_back(text);
  }
  return rows;
}

TEST(ScoresCsv, HasARowForEveryValue) {
  const model::Model model = model::Model::open(golden_model("llama_tied"));
  const model::Architecture& a = model.architecture();
  importance::ScoreRequest request;
  for (const char* signal : {"lim", "zd", "spike", "act_mse", "alpha", "kl"})
    request.signals.push_back(&importance::signal_by_name(signal));
  for (const char* codec : {"int4_g32", "int8_channel"}) request.codecs.push_back(&codec::by_name(codec));
  request.measure.codecs = {&codec::by_name("int4_g32")};
  request.measure.tokens = 16;
  engine::Engine engine(model);
  const importance::Scores scores = importance::score(engine, random_tokens(a.vocab, 2, 16, 1), request).scores;

  const auto rows = rows_of(scores_csv(scores, a));
  EXPECT_EQ(rows[0], (std::vector<std::string>{"signal", "of", "name", "codec", "value", "stderr"}));
  std::map<std::string, std::size_t> counts;
  for (const auto& row : rows) {
    ASSERT_EQ(row.size(), 6u);
    ++counts[row[0]];
    if (row[0] == "lim" && row[2] == "1") {
      EXPECT_EQ(std::stod(row[4]), scores.blocks.at("lim").values[1]) << "the same double";
      EXPECT_EQ(std::stod(row[5]), scores.blocks.at("lim").standard_errors[1]);
    }
    EXPECT_EQ(row[5].empty(), row[0] == "zd") << row[0];
    EXPECT_EQ(row[3].empty(), row[0] != "act_mse" && row[0] != "kl" && row[0] != "signal") << row[0];
  }
  EXPECT_EQ(counts["lim"], a.blocks);
  EXPECT_EQ(counts["spike"], a.linears.size());
  EXPECT_EQ(counts["alpha"], a.groups.size());
  EXPECT_EQ(counts["act_mse"], 2 * a.linears.size());
  EXPECT_EQ(counts["kl"], a.groups.size());
}

TEST(ScoresCsv, NamesWithCommasAreQuoted) {
  model::Architecture a;
  a.groups = {{}};
  a.groups[0].name = "a,\"b\"";
  importance::Scores scores;
  scores.groups["alpha"] = {{0.5}, {}};
  EXPECT_EQ(scores_csv(scores, a), "signal,of,name,codec,value,stderr\nalpha,group,\"a,\"\"b\"\"\",,0.5,\n");
}

}  // namespace scores_csv_test
}  // namespace strata::pipeline
