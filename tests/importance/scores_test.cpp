// scores.json is read back as it was written, and every damage to it is an error that names its place.
#include "importance/scores.h"

#include <cmath>
#include <set>

#include "importance/score.h"
#include "quantize/rtn.h"
#include "support/tiny_model.h"

namespace strata::importance {
namespace scores_test {

using ::strata::fixtures::error_of;
using ::strata::fixtures::golden_ids;
using ::strata::fixtures::golden_model;

class ScoresFile : public ::testing::Test {
 protected:
  ScoresFile() : model_(model::Model::open(golden_model("llama_untied_sharded"))) {
    engine::Engine engine(model_);
    for (const char* name : {"keep", "int4_g32", "int4_g128", "fp8_channel", "nvfp4"})
      request_.codecs.push_back(&codec::by_name(name));
    for (const Signal& signal : signals())
      if (concerns(signal, request_.codecs) && (!signal.costly || signal.prices)) request_.signals.push_back(&signal);
    scores_ =
        score(engine, calibration_from_tokens(golden_ids("llama_untied_sharded"), {{"ids.txt"}}), request_).scores;
    value_ = scores_.to_json();
  }
  /// What from_json says to the changed file.
  std::string refusal() const {
    return error_of([&] { Scores::from_json(parse_json(value_.dump(), "s.json"), model_, "s.json"); });
  }
  void expect_refused(const std::string& part) const {
    const std::string message = refusal();
    EXPECT_NE(message.find(part), std::string::npos) << "'" << message << "' lacks '" << part << "'";
    EXPECT_EQ(message.rfind("s.json", 0), 0u) << message;
  }
  json& first_linear() { return value_["linears"]["act_mse"]["linears"][0]; }

  model::Model model_;
  ScoreRequest request_;
  Scores scores_;
  json value_;
};

TEST_F(ScoresFile, IsReadBackExactly) {
  const Scores read = Scores::from_json(parse_json(value_.dump(2), "s.json"), model_, "s.json");
  EXPECT_EQ(read.to_json().dump(), value_.dump());
  EXPECT_EQ(read.blocks.at("lim").values, scores_.blocks.at("lim").values);
}

/// Runtimes that fuse alike, with and without an embedding in codes, share scores; nothing is known of the embedding
/// then.
TEST_F(ScoresFile, IsReadWithAndWithoutTheEmbedding) {
  const auto path = golden_model("llama_untied_sharded");
  const model::Model looked_up = model::Model::open(path, model::Fusion::fused_embedding);
  const std::size_t linears = looked_up.architecture().linears.size();
  const Scores longer = Scores::from_json(value_, looked_up, "s.json");
  ASSERT_EQ(longer.linears.at("act_mse").size(), linears);
  EXPECT_EQ(longer.linears.at("act_mse").back().module, "model.embed_tokens");
  EXPECT_TRUE(longer.linears.at("act_mse").back().codecs.empty());
  EXPECT_EQ(longer.groups.at("alpha").values.size(), looked_up.architecture().groups.size());
  EXPECT_EQ(Scores::from_json(longer.to_json(), model_, "s.json").to_json().dump(), value_.dump());
  value_["linears"]["act_mse"]["linears"].push_back(
      {{"module", "model.norm"}, {"normalizer", 0.0}, {"codecs", json::object()}});
  value_["linears"]["act_mse"]["linears"].push_back(json::object());
  expect_refused("has 24 linears");
}

TEST_F(ScoresFile, HoldsEverySignalBlockAndLinear) {
  for (const Signal& signal : signals()) {
    const std::string name(signal.name);
    if (!concerns(signal, request_.codecs)) {
      EXPECT_FALSE(scores_.groups.contains(name)) << "prices none of the codecs";
    } else if (signal.costly && !signal.prices) {
      EXPECT_FALSE(scores_.choices.contains(name) || scores_.linears.contains(name)) << "not asked for";
    } else if (signal.of_linear != nullptr) {
      EXPECT_EQ(scores_.linears.at(name).size(), 3u * 7u + 1u) << name;  // untied: lm_head too
    } else if (signal.level == Level::linear) {
      EXPECT_EQ(scores_.modules.at(name).values.size(), 3u * 7u + 1u) << name;
    } else if (signal.level == Level::group) {
      EXPECT_EQ(scores_.groups.at(name).values.size(), 3u * 4u + 1u) << name;
    } else {
      EXPECT_EQ(scores_.blocks.at(name).values.size(), 3u) << name;
    }
  }
  EXPECT_EQ(scores_.blocks.at("lim").standard_errors.size(), 3u);
  EXPECT_TRUE(scores_.blocks.at("zd").standard_errors.empty());
  const LinearScores& q = scores_.linears.at("act_mse")[0];
  // 32 columns do not hold groups of 128.
  ASSERT_EQ(q.codecs.size(), 4u);
  EXPECT_EQ(q.codecs[0].codec->name, "keep");
  EXPECT_EQ(q.codecs[0].error, 0.0);
  for (const CodecScore& score : q.codecs) {
    EXPECT_EQ(score.bytes, codec::stored_bytes(*score.codec, 32, 32));
    if (score.codec->name == "fp8_channel") {
      EXPECT_GT(q.relative(score), 1e-4);
      EXPECT_LT(q.relative(score), 1e-3);
    }
  }
}

TEST_F(ScoresFile, Nvfp4ScalesAreThoseOfTheWholeFusionGroup) {
  // k is scored with the tensor scale of the largest weight of q, k and v.
  const auto& a = model_.architecture();
  float absmax = 0;
  for (const model::Role role : {model::Role::q, model::Role::k, model::Role::v})
    absmax = std::max(absmax, DenseLinear(model_, a.linear(0, role)).absmax());
  engine::Engine engine(model_);
  const auto inputs =
      input_mean_square(engine, calibration_from_tokens(golden_ids("llama_untied_sharded"), {{"ids.txt"}}));
  const model::Linear& k = a.linear(0, model::Role::k);
  const DenseLinear dense(model_, k);
  ASSERT_LT(dense.absmax(), absmax);
  const auto mean_square = inputs.of(k);
  const codec::Codec& nvfp4 = codec::by_name("nvfp4");
  const auto want = quantize::weighted_error(nvfp4, dense.view(), mean_square, codec::ScaleFit::search,
                                             codec::tensor_scale(nvfp4, absmax));
  const LinearScores& got = scores_.linears.at("act_mse")[1];
  EXPECT_NEAR(got.codecs.back().error, want.error, 1e-6 * want.error);
  EXPECT_NEAR(got.normalizer, want.energy, 1e-6 * want.energy);
}

TEST_F(ScoresFile, ImportanceTurnsSignalsSoThatHigherMatters) {
  const std::vector<double> zd = scores_.importance("zd");
  for (std::size_t b = 0; b < 3; ++b) EXPECT_EQ(zd[b], -scores_.blocks.at("zd").values[b]);
  EXPECT_EQ(scores_.importance("lim"), scores_.blocks.at("lim").values);
  EXPECT_THROW(scores_.importance("act_mse"), Error);
}

TEST_F(ScoresFile, OfAnotherModelIsRefused) {
  const model::Model other = model::Model::open(golden_model("llama_tied"));
  const std::string message = error_of([&] { Scores::from_json(value_, other, "s.json"); });
  EXPECT_NE(message.find("scores of another model"), std::string::npos) << message;
}

TEST_F(ScoresFile, OfAnotherKindOrVersionIsRefused) {
  value_["version"] = 2;
  expect_refused("version 2");
  value_["format"] = "strata plan";
  expect_refused("not a scores file");
  value_ = json::array();
  expect_refused("not a scores file");
  value_ = 3;
  expect_refused("not a scores file");
}

TEST_F(ScoresFile, CutAnywhereIsRefused) {
  const std::string text = value_.dump(2);
  for (std::size_t size = 0; size < text.size() - 1; size += 7)
    EXPECT_THROW(Scores::from_json(parse_json(text.substr(0, size), "s.json"), model_, "s.json"), Error) << size;
}

TEST_F(ScoresFile, EveryMemberMustBeThereAndOfItsType) {
  // Every member at every depth, removed, and replaced by things of other types.
  const json whole = value_, flat = whole.flatten();
  const std::vector<std::string> optional = {"relative",    "stderr",   "higher_is_important",
                                             "lim",         "lim_flat", "zd",
                                             "zd_linear",   "extremal", "kurtosis",
                                             "residual",    "spike",    "prior",
                                             "spike_out",   "modules",  "act_mse",
                                             "alpha",       "keep",     "int4_g32",
                                             "fp8_channel", "nvfp4",    "stability",
                                             "alpha_int"};
  std::size_t tried = 0;
  std::set<std::string> seen;
  for (const auto& [path, leaf] : flat.items()) {
    for (json::json_pointer at(path); !at.empty(); at = at.parent_pointer()) {
      const bool in_list = whole.at(at.parent_pointer()).is_array();
      if ((in_list && at.back() != "0") || !seen.insert(at.to_string()).second) continue;
      const bool may_lack = !in_list && std::ranges::find(optional, at.back()) != optional.end();
      for (const json& other : {json(nullptr), json("x"), json(-1), json::array({1}), json{{"x", 1}}}) {
        if (at.back() == "relative" || at.back() == "higher_is_important") break;  // for people, not read
        if (other == -1 && leaf.is_number_float()) continue;
        if (other == "x" && at.back() == "0" && whole.at(at).is_string()) continue;  // a file's name
        value_ = whole;
        value_[at] = other;
        EXPECT_FALSE(refusal().empty()) << at.to_string() << " = " << other;
        ++tried;
      }
      if (may_lack || in_list) continue;
      value_ = whole;
      value_[at.parent_pointer()].erase(at.back());
      EXPECT_FALSE(refusal().empty()) << "without " << at.to_string();
    }
  }
  EXPECT_GT(tried, 150u);
}

TEST_F(ScoresFile, ValuesThatCannotBeAreRefused) {
  const json whole = value_;
  const auto with = [&](const auto& change) {
    value_ = whole;
    change();
  };
  with([&] { value_["blocks"]["lim"]["values"].push_back(0.5); });
  expect_refused("lim: values has 4 values where the model has 3");
  with([&] { value_["blocks"]["lim"]["values"][2] = NAN; });
  expect_refused("values[2]");
  with([&] { value_["blocks"]["lim"]["stderr"][1] = -0.1; });
  expect_refused("stderr[1] is -0.1");
  with([&] { value_["blocks"]["lin"] = value_["blocks"]["lim"]; });
  expect_refused("no signal 'lin'");
  with([&] { value_["blocks"]["act_mse"] = value_["blocks"]["lim"]; });
  expect_refused("no signal 'act_mse' of blocks");
  with([&] { first_linear()["codecs"]["int4_g32"]["bytes"] = 3; });
  expect_refused("model.layers.0.self_attn.q_proj: int4_g32: 'bytes' is 3");
  with([&] { first_linear()["codecs"]["int4_g32"]["error"] = -1e-3; });
  expect_refused("less than 0");
  with([&] { first_linear()["codecs"]["int9"] = first_linear()["codecs"]["keep"]; });
  expect_refused("no codec 'int9'");
  with([&] { first_linear()["codecs"]["int4_g128"] = first_linear()["codecs"]["keep"]; });
  expect_refused("cannot hold this linear");
  with([&] { first_linear()["module"] = "model.layers.7.mlp.up_proj"; });
  expect_refused("where the model has 'model.layers.0.self_attn.q_proj'");
  with([&] { value_["linears"]["act_mse"]["linears"].erase(3); });
  expect_refused("21 linears, and the model has 22");
  with([&] { value_["calibration"]["hash"] = "0123456789ABCDEF"; });
  expect_refused("16 hexadecimal digits");
  // A number beyond the range of double.
  const std::string text = whole.dump();
  const std::size_t at = text.find("\"normalizer\":") + 13;
  EXPECT_THROW(Scores::from_json(parse_json(text.substr(0, at) + "1e999" + text.substr(text.find(',', at)), "s.json"),
                                 model_, "s.json"),
               Error);
}

}  // namespace scores_test
}  // namespace strata::importance
