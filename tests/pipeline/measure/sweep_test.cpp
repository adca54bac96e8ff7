// In a sweep of a tiny model all curves share their ends, and a journal cut anywhere gives the same result.
// The claims are judged on curves that are known.
#include "pipeline/measure/sweep.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/file.h"
#include "support/random_tokens.h"

namespace strata::pipeline {
namespace sweep_test {

class SweepTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  SweepResult run() {
    SweepRequest request{&codec::by_name("int8_channel"), &codec::by_name("int3_channel")};
    request.tokens = 32;
    request.random_orders = 2;
    request.journal = folder_ / "sweep.journal";
    engine::Engine engine(model_);
    const std::size_t vocab = model_.architecture().vocab;
    return sweep(engine, random_tokens(vocab, 2, 16, 1), random_tokens(vocab, 2, 16, 2), request);
  }

  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) /
      fmt::format("sweep_{}", testing::UnitTest::GetInstance()->current_test_info()->name());
  model::Model model_ =
      model::Model::open(std::filesystem::path(STRATA_TEST_DATA) / "golden/models/llama_untied_sharded");
};

TEST_F(SweepTest, CurvesShareTheirEnds) {
  const SweepResult result = run();
  ASSERT_EQ(result.curves.size(), 12u);
  const std::size_t blocks = model_.architecture().blocks;
  const SweepPoint none = result.curves[0].points.front(), all = result.curves[0].points.back();
  EXPECT_EQ(all.lowered, blocks);
  EXPECT_GT(none.bits, all.bits);
  EXPECT_GT(all.kl, none.kl);
  for (const SweepCurve& curve : result.curves) {
    ASSERT_EQ(curve.points.size(), blocks + 1) << curve.order;
    if (curve.order == "pruned") {
      EXPECT_EQ(curve.points[0].kl, 0.0);
      EXPECT_NEAR(curve.points[0].perplexity, result.perplexity, 1e-9 * result.perplexity);
      continue;
    }
    EXPECT_EQ(curve.points.front().kl, none.kl) << curve.order;
    EXPECT_EQ(curve.points.back().kl, all.kl) << curve.order;
  }
  EXPECT_EQ(check_claims(result).size(), 6u);
  EXPECT_NE(result.to_csv().find("\nrandom 1,"), std::string::npos);
}

TEST_F(SweepTest, ResumesAnywhere) {
  const json expected = run().to_json();
  const std::string journal = read_text_file(folder_ / "sweep.journal");
  for (const std::size_t size : {journal.size() / 4, journal.size() - 3}) {
    std::ofstream(folder_ / "sweep.journal", std::ios::binary | std::ios::trunc) << journal.substr(0, size);
    EXPECT_EQ(run().to_json(), expected);
    EXPECT_EQ(read_text_file(folder_ / "sweep.journal"), journal);
  }
}

TEST(SweepCurve, AreasAndRetentionPoints) {
  SweepCurve curve{"x", {}};
  for (const std::size_t n : {0u, 2u, 4u}) curve.points.push_back({n, 0, n == 0 ? 0.0 : n == 2 ? 0.1 : 1.0, 0, 1});
  EXPECT_NEAR(curve.mean_kl(), (0.1 + 1.1) / 4, 1e-12);
  EXPECT_NEAR(curve.share_at(0.1, 1.0), 0.5, 1e-12);
  EXPECT_NEAR(curve.share_at(0.55, 1.0), 0.75, 1e-12);
}

}  // namespace sweep_test
}  // namespace strata::pipeline
