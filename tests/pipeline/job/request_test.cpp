// Every option of the main job is part of its identity or says that it is not. A changed one makes another job, which
// does not resume the first one's journal.
#include "pipeline/job/request.h"

#include <gtest/gtest.h>

#include "core/file.h"
#include "core/journal.h"
#include "pipeline/job/methods.h"
#include "support/error_of.h"
#include "support/open_golden.h"
#include "support/set_options.h"
#include "support/temporary_folder.h"

namespace strata::pipeline {
namespace request_test {

struct Declared {
  OptionInfo info;
  OptionValue::Kind kind;
  bool on;  ///< of a flag
};

class Lister final : public OptionVisitor {
 public:
  void declare(const OptionInfo& info, const OptionValue& value) override {
    const bool flag = value.kind == OptionValue::Kind::flag;
    declared.push_back({info, value.kind, flag && value.get() == json(true)});
  }
  std::vector<Declared> declared;
};

class RequestTest : public ::testing::Test {
 protected:
  RequestTest() : model_(tiny("llama_tied")) {
    request_.model = "model";
    request_.output = "out";
    write_text_file(folder_.path() / "rules.json",
                    R"({"format": "strata prior", "version": 1, "rules": [{"match": "down", "weight": 2}]})");
    Lister lister;
    visit(request_, lister);
    declared_ = lister.declared;
  }

  /// The request with one option changed from its default.
  QuantizeRequest changed(const Declared& option) {
    QuantizeRequest request = request_;
    std::string word = option.info.example;
    if (option.kind == OptionValue::Kind::flag) word = option.on ? "false" : "true";
    if (option.info.values.size() > 1 && word.empty()) word = option.info.values.back();
    if (word.ends_with(".json") || word.ends_with(".txt") || word.ends_with(".gguf")) {
      if (word != "rules.json") write_text_file(folder_.path() / word, "content");
      word = (folder_.path() / word).string();
    }
    EXPECT_NE(word, "") << option.info.name << " has no example";
    std::map<std::string, OptionWords> words = {{option.info.name, {{word}}}};
    for (const char* name : {"--ctx", "--batch", "--fit-experts"})
      if (option.info.name == name) words["--fit"] = {{"8GiB"}};  // what these need
    SetOptions setter(std::move(words));
    visit(request, setter);
    return request;
  }

  const model::Model model_;
  TemporaryFolder folder_;
  QuantizeRequest request_;
  std::vector<Declared> declared_;
};

TEST_F(RequestTest, AJournalRefusesToResumeAJobWithAnyOptionChanged) {
  const auto path = folder_.path() / "journal";
  { const Journal begun(path, job_identity(request_, model_)); }
  { const Journal resumed(path, job_identity(request_, model_)); }
  std::size_t refused = 0;
  for (const Declared& option : declared_) {
    if (option.info.effect == Effect::run) continue;
    const json identity = job_identity(changed(option), model_);
    const std::string error = error_of([&] { const Journal other(path, identity); });
    EXPECT_NE(error.find("is of a job with another --"), std::string::npos) << option.info.name << ": " << error;
    ++refused;
  }
  EXPECT_GT(refused, 30u);
}

TEST_F(RequestTest, OptionsThatOnlyChangeHowTheJobRunsResumeIt) {
  const json identity = job_identity(request_, model_);
  for (const Declared& option : declared_) {
    if (option.info.effect == Effect::result || option.info.required) continue;
    EXPECT_EQ(job_identity(changed(option), model_), identity) << option.info.name;
  }
}

TEST_F(RequestTest, EveryOptionHasHelpAndNamesAreUnique) {
  std::set<std::string> names;
  for (const Declared& option : declared_) {
    EXPECT_NE(option.info.help, "") << option.info.name;
    EXPECT_TRUE(names.insert(option.info.name).second) << option.info.name;
  }
}

TEST_F(RequestTest, WhatIsLeftOpenIsDecidedByTheRest) {
  EXPECT_EQ(method_of(request_).name, "rtn");
  EXPECT_EQ(target_of(request_).name, "vllm");
  request_.rounding.tune.steps = 5;
  EXPECT_EQ(method_of(request_).name, "gptq");
  request_.output = "out.gguf";
  EXPECT_EQ(target_of(request_).name, "llama.cpp");
  EXPECT_GT(rounding_text(request_).size().samples, request_.calibration.size().samples);
  request_.calibration.samples = 3;
  EXPECT_EQ(rounding_text(request_).size().samples, 3u);
}

TEST_F(RequestTest, ContradictionsNameTheOptions) {
  const auto refused = [&](const char* part) {
    const std::string error = error_of([&] { check_options(request_); });
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  refused("give a budget");
  request_.plan.budget = BitsBudget{4.5};
  request_.rounding.tune.steps = 5;
  request_.method = "rtn";
  refused("leave out --method rtn");
  request_.method = "gptq";
  request_.imatrix = "imatrix.gguf";
  refused("--imatrix");
  request_.imatrix.clear();
  request_.plan_file = "plan.json";
  refused("leave out --bits 4.5");
  request_.plan.budget = {};
  request_.plan.embed_codec = "q6_k";
  refused("leave out --embed-codec");
  request_.plan.embed_codec.clear();
  request_.search.steps = 3;
  refused("leave out --search-steps");
  request_.search.steps.reset();
  request_.plan.shard_bytes = 1 << 20;
  EXPECT_NO_THROW(check_options(request_)) << "how a plan is cut into files is not a choice of it";

  request_.plan_file.clear();
  request_.scale_fit = codec::ScaleFit::minmax;
  request_.plan.budget = KlBudget{0.05};
  refused("--scale minmax: --max-kl 0.05 measures plans");
  request_.plan.budget = BitsBudget{4.5};
  request_.search.search = true;
  refused("--scale minmax: a search measures plans");
}

}  // namespace request_test
}  // namespace strata::pipeline
