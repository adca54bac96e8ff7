// An entry of eval.json is found again by the model's fingerprint, and no other model's is.
// Hostile and older files are refused with a sentence that says what to do.
#include "eval/eval_file.h"

#include "support/tiny_model.h"

namespace strata::eval {
namespace eval_file_test {

using ::strata::fixtures::error_of;

EvalFile file_of(std::vector<ModelName> models) {
  EvalFile file;
  for (std::size_t m = 0; m < models.size(); ++m)
    file.evaluations.push_back(summarize({{1.0 + static_cast<double>(m)}, {1.0}, {0.5}, {1.0}}));
  file.models = std::move(models);
  file.original = ModelName{"model", "dd"};
  file.text = {{"file", "wiki.txt"}, {"samples", 1}, {"seq_len", 4}};
  file.precision = "f32";
  file.command = "strata eval";
  return file;
}
std::string refusal(const json& file, const std::string& fingerprint = "aa") {
  const std::string message = error_of([&] { entry_from(file, fingerprint, "OUT", "eval.json"); });
  EXPECT_EQ(message.find("eval.json: "), 0u) << message;
  return message;
}

TEST(EvalFile, NamesBothModels) {
  const json value = file_of({{"a", "aa"}}).to_json();
  EXPECT_EQ(value["format"], "strata evaluation");
  EXPECT_EQ(value["model"], json({{"path", "a"}, {"fingerprint", "aa"}}));
  EXPECT_EQ(value["ref_model"]["fingerprint"], "dd");
  const json entry = entry_from(value, "aa", "OUT", "eval.json");
  EXPECT_EQ(entry["perplexity"], value["perplexity"]);
  EXPECT_EQ(entry["text"]["file"], "wiki.txt");
  EXPECT_EQ(entry["command"], "strata eval");
  EXPECT_FALSE(entry.contains("format"));
}

TEST(EvalFile, OfSeveralModelsTheOneWithTheFingerprintIsFound) {
  const json value = file_of({{"a", "aa"}, {"b", "bb"}}).to_json();
  ASSERT_EQ(value["models"].size(), 2u);
  const json entry = entry_from(value, "bb", "OUT", "eval.json");
  EXPECT_DOUBLE_EQ(entry["perplexity"], std::exp(2.0));
  EXPECT_EQ(entry["ref_model"]["fingerprint"], "dd");
  EXPECT_FALSE(entry.contains("models"));
  EXPECT_NE(refusal(value, "cc").find("is the evaluation of a (aa), b (bb), and OUT has the fingerprint cc"),
            std::string::npos);
}

TEST(EvalFile, OlderFilesAreRefusedWithTheCommandThatMakesThemAnew) {
  const std::string older = refusal({{"perplexity", 9.5}});
  EXPECT_NE(older.find("does not say which model it is of"), std::string::npos) << older;
  EXPECT_NE(older.find("evaluate again: `strata eval OUT --ref MODEL --text FILE -o eval.json`"), std::string::npos);
  EXPECT_NE(refusal({{"models", json::array()}}).find("an older strata"), std::string::npos);
}

TEST(EvalFile, HostileFilesAreRefused) {
  const json good = file_of({{"a", "aa"}}).to_json();
  const auto changed = [&](const char* key, const json& value) {
    json file = good;
    file[key] = value;
    return refusal(file);
  };
  EXPECT_NE(refusal(json::array()).find("not an evaluation"), std::string::npos);
  EXPECT_NE(changed("format", "strata scores").find("not an evaluation"), std::string::npos);
  EXPECT_NE(changed("version", 2).find("version 2"), std::string::npos);
  EXPECT_NE(changed("model", "a").find("expected an object"), std::string::npos);
  EXPECT_NE(changed("model", json::object()).find("'fingerprint' is missing"), std::string::npos);
  EXPECT_NE(changed("ref_model", 7).find("expected an object"), std::string::npos);
  EXPECT_NE(changed("models", 7).find("expected an array"), std::string::npos);
  EXPECT_NE(changed("models", json::array({7})).find("expected an object"), std::string::npos);
  EXPECT_NE(changed("models", json::array()).find("is the evaluation of no model"), std::string::npos);
  EXPECT_NE(changed("perplexity", "low").find("expected a number"), std::string::npos);
}

}  // namespace eval_file_test
}  // namespace strata::eval
