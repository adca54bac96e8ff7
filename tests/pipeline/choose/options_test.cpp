// The options of a plan: what is recorded of them, and that a budget is given once.
#include "pipeline/choose/options.h"

#include <gtest/gtest.h>

#include <map>

#include "support/error_of.h"
#include "support/set_options.h"

namespace strata::pipeline {
namespace options_test {

PlanRequest asked(std::map<std::string, std::string> words) {
  PlanRequest request;
  std::map<std::string, OptionWords> all;
  for (const auto& [name, word] : words) all[name] = {{word}};
  SetOptions setter(std::move(all));
  visit(request, setter);
  return request;
}

TEST(PlanOptions, ABudgetIsGivenOnceAndContextNeedsFit) {
  EXPECT_EQ(std::get<SizeBudget>(asked({{"--size", "90MiB"}}).budget).bytes, 90u << 20);
  const auto fit = std::get<MemoryBudget>(asked({{"--fit", "8GiB"}, {"--ctx", "100"}}).budget);
  EXPECT_EQ(fit.context, 100u);
  EXPECT_EQ(fit.batch, 1u);
  EXPECT_NE(error_of([] { asked({{"--bits", "4"}, {"--size", "1MiB"}}); }).find("contradict"), std::string::npos);
  EXPECT_NE(error_of([] { asked({{"--ctx", "100"}}); }).find("--fit"), std::string::npos);
  EXPECT_NE(error_of([] { asked({{"--fit-experts", "96GiB"}}); }).find("give --fit too"), std::string::npos);
  EXPECT_NE(error_of([] { asked({{"--bits", "0"}}); }).find("--bits 0: expected a number"), std::string::npos);
}

TEST(PlanOptions, TheRecordHoldsABudgetAsItWasGiven) {
  const auto record = [](std::map<std::string, std::string> words) { return request_record(asked(std::move(words))); };
  EXPECT_EQ(record({{"--bits", "4.5"}})["bits"], 4.5);
  EXPECT_EQ(record({{"--size", "94371840"}})["size"], "90MiB");
  EXPECT_EQ(record({{"--max-kl", "0.5"}})["max_kl"], 0.5);
  EXPECT_EQ(record({{"--like", "Q8_0"}})["like"], "Q8_0");
  const json fit = record({{"--fit", "8GiB"}, {"--ctx", "128"}, {"--batch", "3"}});
  EXPECT_EQ(fit, (json{{"preset", "best"}, {"fit", "8GiB"}, {"ctx", 128}, {"batch", 3}}));
  EXPECT_EQ(record({{"--fit", "8GiB"}, {"--fit-experts", "96GiB"}})["fit_experts"], "96GiB");
}

TEST(PlanOptions, TheRecordKeepsWhatDiffersFromTheDefaults) {
  EXPECT_EQ(request_record(PlanRequest()), (json{{"preset", "best"}}));
  PlanRequest request;
  request.preset = "lwq";
  request.method = "gptq";
  request.budget = BitsBudget{5};
  request.low = "int3_g64";
  request.levels = "int8_g32:1,int4_g32";
  EXPECT_EQ(request_record(request), (json{{"preset", "lwq"},
                                           {"method", "gptq"},
                                           {"bits", 5.0},
                                           {"low", "int3_g64"},
                                           {"levels", "int8_g32:1,int4_g32"}}));
}

}  // namespace options_test
}  // namespace strata::pipeline
