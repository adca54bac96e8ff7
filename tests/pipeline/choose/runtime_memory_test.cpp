// What caches and states of each kind of mixer take, against sums by hand.
#include "pipeline/choose/runtime_memory.h"

#include <gtest/gtest.h>

#include "model/model.h"
#include "support/tiny_model.h"

namespace strata::pipeline {
namespace runtime_memory_test {

using ::strata::fixtures::golden_model;

std::uint64_t cache_of(const char* name, std::uint64_t context, std::uint64_t batch) {
  const model::Model model = model::Model::open(golden_model(name));
  return memory_beside_weights(model.architecture(), target_by_name("vllm"), {0, context, batch}).kv_cache;
}

TEST(RuntimeMemory, LatentAttentionKeepsALatentAndTheTurnedPartOfAKey) {
  constexpr std::uint64_t blocks = 2, latent = 16, turned = 8, bytes = 2;
  EXPECT_EQ(cache_of("deepseek_v3", 100, 3), 3 * 100 * blocks * (latent + turned) * bytes);
}

TEST(RuntimeMemory, ADeltaNetKeepsAStateThatDoesNotGrow) {
  // Two blocks with four heads of 8 x 8 and a convolution over 4 tokens of 64 channels; one with two heads of 16.
  constexpr std::uint64_t states = 2 * (4 * 8 * 8 + 3 * 64) * 4, attention = 2 * 2 * 16 * 2;
  EXPECT_EQ(cache_of("qwen3_5_text", 100, 1), states + 100 * attention);
  EXPECT_EQ(cache_of("qwen3_5_text", 1000, 2), 2 * (states + 1000 * attention));
}

TEST(RuntimeMemory, AShortConvolutionKeepsTheTokensThatItSees) {
  const model::Model model = model::Model::open(golden_model("lfm2"));
  const model::Architecture& a = model.architecture();
  std::uint64_t bytes = 0;
  for (const model::BlockAttention& block : a.attention)
    bytes +=
        block.mixer == model::Mixer::convolution ? (a.convolution.kernel - 1) * a.hidden * 4 : 50 * 2 * a.kv_size() * 2;
  EXPECT_EQ(cache_of("lfm2", 50, 1), bytes);
}

}  // namespace runtime_memory_test
}  // namespace strata::pipeline
