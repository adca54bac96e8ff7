// Shapes that runtimes load, whole and cut in parts: groups, packed words and heads are what parts must not split.
#include "pipeline/plan/shapes.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "model/model.h"
#include "support/error_of.h"
#include "support/tiny_model.h"

namespace strata::pipeline {
namespace shapes_test {

using ::strata::error_of;

class Shapes : public ::testing::Test {
 protected:
  /// Two blocks of a llama: hidden 64, 8 heads of 16 with 2 of keys, 192 between gate and down.
  Shapes() : model_(model::Model::open(::strata::fixtures::golden_model("llama_tied"))), a_(model_.architecture()) {
    a_.heads = 8;
    a_.kv_heads = 2;
    a_.head_dim = 16;
    for (model::Linear& linear : a_.linears) {
      using model::Role;
      const Role role = linear.role;
      linear.rows = role == Role::q                          ? 128
                    : role == Role::k || role == Role::v     ? 32
                    : role == Role::gate || role == Role::up ? 192
                                                             : 64;
      linear.cols = role == Role::o ? 128 : role == Role::down ? 192 : 64;
    }
  }
  std::string why_not(const char* codec, model::Role role, std::uint64_t parts, const char* target = "vllm") const {
    return why_not_fused(target_by_name(target), codec::by_name(codec), a_, a_.groups[a_.linear(0, role).group], parts);
  }

  model::Model model_;
  model::Architecture a_;
};

TEST_F(Shapes, ZeroPointsFillWholeWords) {
  EXPECT_EQ(why_not_shape(codec::by_name("int4_asym_channel"), 16, 64), "");
  const std::string why = why_not_shape(codec::by_name("int4_asym_channel"), 12, 64);
  EXPECT_NE(why.find("only when 8 divides the 12 rows"), std::string::npos) << why;
  EXPECT_NE(why_not_shape(codec::by_name("int8_asym_channel"), 6, 64), "");
  EXPECT_NE(why_not_shape(codec::by_name("int3_asym_channel"), 16, 64).find("32 divides the 16 rows"),
            std::string::npos);
  EXPECT_EQ(why_not_shape(codec::by_name("int3_asym_channel"), 64, 64), "");
  EXPECT_NE(why_not_shape(codec::by_name("int6_asym_channel"), 40, 64).find("16 divides"), std::string::npos);
  EXPECT_EQ(why_not_shape(codec::by_name("int4_channel"), 12, 64), "");
}

TEST_F(Shapes, PartsAreRowsOrColumnsByRole) {
  using model::Role;
  const auto part = [&](Role role, std::uint64_t parts) {
    const PartShape shape = part_of(a_, a_.linear(0, role), parts);
    return std::pair(shape.rows, shape.cols);
  };
  EXPECT_EQ(part(Role::q, 1), std::pair(128ul, 64ul));
  EXPECT_EQ(part(Role::q, 4), std::pair(32ul, 64ul));
  EXPECT_EQ(part(Role::k, 2), std::pair(16ul, 64ul));
  EXPECT_EQ(part(Role::k, 4), std::pair(16ul, 64ul)) << "two parts each hold the same head";
  EXPECT_EQ(part(Role::o, 4), std::pair(64ul, 32ul));
  EXPECT_EQ(part(Role::down, 4), std::pair(64ul, 48ul));
}

TEST_F(Shapes, PartsSplitNoGroup) {
  EXPECT_EQ(why_not("int4_g32", model::Role::down, 2), "");
  EXPECT_EQ(why_not("int4_g64", model::Role::down, 3), "");
  EXPECT_NE(why_not("int4_g64", model::Role::down, 2).find("groups of 64 do not divide 96 of the 192 columns"),
            std::string::npos)
      << why_not("int4_g64", model::Role::down, 2);
  EXPECT_NE(why_not("nvfp4", model::Role::o, 16), "");
  EXPECT_EQ(why_not("int4_g64", model::Role::gate, 8), "") << "only its rows are cut";
}

/// vLLM holds q, k and v in one matrix, and gate and up: no block of FP8 may reach over two of them.
TEST_F(Shapes, BlocksOfFp8AreOfOneLinearAndOnePart) {
  using model::Role;
  EXPECT_NE(why_not("fp8_block", Role::q, 1).find("blocks of 128 do not divide 32 rows"), std::string::npos);
  EXPECT_NE(why_not("fp8_block", Role::gate, 1).find("192 rows"), std::string::npos);
  EXPECT_EQ(why_not("fp8_block", Role::o, 1), "");
  for (model::Linear& linear : a_.linears)
    if (linear.role == Role::gate || linear.role == Role::k || linear.role == Role::v) linear.rows = 256;
  EXPECT_EQ(why_not("fp8_block", Role::gate, 1), "") << "up is the last";
  EXPECT_NE(why_not("fp8_block", Role::gate, 2), "");
  EXPECT_EQ(why_not("fp8_block", Role::q, 1), "");
  EXPECT_NE(why_not("fp8_block", Role::q, 2).find("64 rows in each of 2 parts"), std::string::npos);
  EXPECT_NE(why_not("fp8_block", Role::o, 2).find("groups of 128 do not divide 64 of the 128 columns"),
            std::string::npos);
}

TEST_F(Shapes, PartsSplitNoPackedWord) {
  EXPECT_EQ(why_not("int3_channel", model::Role::down, 2), "");
  EXPECT_NE(why_not("int3_channel", model::Role::down, 4).find("when 32 divides 48 of the 192 columns"),
            std::string::npos)
      << why_not("int3_channel", model::Role::down, 4);
  EXPECT_EQ(why_not("int8_channel", model::Role::down, 4), "");
  EXPECT_EQ(why_not("fp8_channel", model::Role::down, 4), "") << "no packed words";
  EXPECT_EQ(why_not("int4_asym_g32", model::Role::q, 2), "");
  EXPECT_NE(why_not("int3_asym_g32", model::Role::q, 2).find("its zero points"), std::string::npos)
      << "a head of k has 16 rows";
}

TEST_F(Shapes, ThePartsOfAModelAreWholeHeads) {
  const auto error = [&](std::uint64_t parts, const char* target = "vllm") {
    return error_of([&] { check_parts(target_by_name(target), a_, parts); });
  };
  EXPECT_EQ(error(1) + error(2) + error(4) + error(8), "");
  EXPECT_NE(error(3).find("8 heads of attention"), std::string::npos) << error(3);
  EXPECT_NE(error(2, "transformers").find("does not cut"), std::string::npos);
  EXPECT_NE(error(65), "");
  a_.kv_heads = 3;
  EXPECT_NE(error(2).find("3 heads of keys"), std::string::npos) << error(2);
}

TEST_F(Shapes, KernelsOfCpusTakeMultiples) {
  a_.linears[a_.index(0, model::Role::o)].rows = 48;
  EXPECT_NE(why_not("int4_g32", model::Role::o, 1, "vllm:cpu").find("multiples of 32, not 48 rows"), std::string::npos);
  EXPECT_EQ(why_not("int4_g32", model::Role::o, 1), "");
}

}  // namespace shapes_test
}  // namespace strata::pipeline
