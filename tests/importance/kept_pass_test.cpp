// A pass over the calibration set that ends before its time is resumed after its last kept block, and gives every bit
// that an undisturbed one gives. What ends it here is an engine whose weights of one block are no numbers.
#include "importance/kept_pass.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <optional>

#include "engine/model_gradient.h"
#include "engine/modes.h"
#include "importance/score.h"
#include "support/random_tokens.h"
#include "support/tiny_model.h"

namespace strata::importance {
namespace kept_pass_test {

namespace fs = std::filesystem;
using ::strata::fixtures::error_of;
using ::strata::fixtures::golden_model;
using ::strata::fixtures::TemporaryFolder;

class KeptPassTest : public ::testing::TestWithParam<const char*> {
 protected:
  KeptPassTest() {
    for (const Signal& signal : signals())
      if (!signal.needs_gradients || engine::why_no_gradient(model_.architecture()).empty())
        request_.signals.push_back(&signal);
    request_.codecs = {&codec::by_name("nvfp4"), &codec::by_name("int4_channel")};
    request_.measure = {{&codec::by_name("int4_channel")}, 32, folder_.path() / "s.journal", {}};
    request_.resumed = [this](std::size_t blocks) { resumed_ = blocks; };
    setenv("STRATA_NOTE_SECONDS", "0", 1);
  }
  ~KeptPassTest() override { unsetenv("STRATA_NOTE_SECONDS"); }

  ScoreResult undisturbed() {
    ScoreRequest request = request_;
    request.measure.journal.clear();
    engine::Engine engine(model_);
    return score(engine, set_, request);
  }
  ScoreResult resume() {
    resumed_.reset();
    engine::Engine engine(model_);
    return score(engine, set_, request_);
  }
  /// Calls `work` with an engine that fails in a block.
  template <class Work>
  void fail_in(std::size_t block, const Work& work) {
    engine::Engine engine(model_);
    engine::Replacing replacing(engine);
    const model::Linear& linear = model_.architecture().linear(block, model::Role::o);
    const std::vector<float> bad(linear.rows * linear.cols, std::numeric_limits<float>::quiet_NaN());
    replacing.set(static_cast<std::size_t>(&linear - model_.architecture().linears.data()),
                  {MatrixView::dense(bad.data(), linear.rows, linear.cols, DType::f32)});
    EXPECT_NE(error_of([&] { work(engine); }).find(fmt::format("output of block {} is not finite", block)),
              std::string::npos);
  }
  void expect_same(const InputMeanSquare& a, const InputMeanSquare& b) {
    for (const model::Linear& linear : model_.architecture().linears) EXPECT_EQ(a.parts(linear), b.parts(linear));
  }
  fs::path pass() const { return folder_.path() / "s.journal.pass"; }

  TemporaryFolder folder_;
  model::Model model_ = model::Model::open(golden_model(GetParam()));
  CalibrationSet set_ = random_tokens(model_.architecture().vocab, 5, 16, 5);
  ScoreRequest request_;
  std::optional<std::size_t> resumed_;
};

TEST_P(KeptPassTest, ScoresAreTheSameWhereverThePassEnded) {
  const ScoreResult whole = undisturbed();
  const std::size_t blocks = model_.architecture().blocks;
  for (std::size_t block = 0; block < blocks; ++block) {
    fail_in(block, [&](engine::Engine& engine) { score(engine, set_, request_); });
    ASSERT_TRUE(fs::exists(pass()));
    const ScoreResult result = resume();
    EXPECT_EQ(resumed_, block);
    EXPECT_EQ(result.scores.to_json().dump(), whole.scores.to_json().dump());
    expect_same(result.inputs, whole.inputs);
    // The whole pass is kept now, and not made again.
    EXPECT_EQ(resume().scores.to_json().dump(), whole.scores.to_json().dump());
    EXPECT_EQ(resumed_, blocks);
    EXPECT_EQ(kept_files(request_.measure, 1), (std::vector<fs::path>{request_.measure.journal, pass()}));
    remove_kept(request_.measure, 1);
    EXPECT_FALSE(fs::exists(pass()));
    EXPECT_TRUE(kept_files(request_.measure, 1).empty());
  }
}

TEST_P(KeptPassTest, MeanSquaresAreTheSameWhereverThePassEnded) {
  engine::Engine engine(model_);
  const InputMeanSquare whole = input_mean_square(engine, set_);
  fail_in(1, [&](engine::Engine& bad) { input_mean_square(bad, set_, pass()); });
  expect_same(input_mean_square(engine, set_, pass()), whole);
  expect_same(input_mean_square(engine, set_, pass()), whole);
  InputMeanSquare other = input_mean_square(engine, random_tokens(model_.architecture().vocab, 5, 16, 6));
  keep_input_mean_square(engine, set_, other, pass());
  expect_same(input_mean_square(engine, set_, pass()), other);
}

TEST_P(KeptPassTest, AnotherJobBeginsAnewAndADamagedFileIsAnError) {
  request_.signals = {&signal_by_name("act_mse"), &signal_by_name("lim")};
  resume();
  EXPECT_FALSE(resumed_);
  request_.codecs.pop_back();
  const std::string expected = undisturbed().scores.to_json().dump();
  EXPECT_EQ(resume().scores.to_json().dump(), expected);
  EXPECT_FALSE(resumed_);
  EXPECT_EQ(resume().scores.to_json().dump(), expected);
  EXPECT_EQ(resumed_, model_.architecture().blocks);
  const std::string bytes = read_text_file(pass());
  for (const std::size_t size : {bytes.size() - 1, bytes.size() / 2, bytes.find('\n') + 1}) {
    std::ofstream(pass(), std::ios::binary | std::ios::trunc) << bytes.substr(0, size);
    const std::string message = error_of([&] { resume(); });
    EXPECT_NE(message.find("s.journal.pass: is damaged; delete the file"), std::string::npos) << message;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, KeptPassTest,
                         ::testing::Values("llama_untied_sharded", "llama_tied", "qwen3_moe_sparse", "gemma4_text"));

}  // namespace kept_pass_test
}  // namespace strata::importance
