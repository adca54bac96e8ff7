// What targets take, by the rows of their table: the widths of vLLM's kernels, experts, versions, and names of GPUs.
// vLLM itself is asked in tests/peers/test_vllm_kernels.py.
#include "pipeline/plan/target.h"

#include <gtest/gtest.h>

#include <bit>

#include "pipeline/plan/least_version.h"
#include "support/error_of.h"

namespace strata::pipeline {
namespace target_test {

bool takes(const char* target, const char* codec) {
  return target_by_name(target).why_not(codec::by_name(codec)).empty();
}
bool takes_in_experts(const char* target, const char* codec) {
  return takes(target, codec) && target_by_name(target).why_not_experts(codec::by_name(codec)).empty();
}

TEST(Target, IsKnownByTheNameOfItsGpu) {
  EXPECT_EQ(target_by_name("a100").name, "vllm:sm80");
  EXPECT_EQ(target_by_name("vllm:L40S").name, "vllm:sm89");
  EXPECT_EQ(target_by_name("RTX5090").name, "vllm:sm100");
  for (const TargetAlias& alias : target_aliases()) EXPECT_TRUE(target_by_name(alias.gpu).gpu) << alias.gpu;
  const std::string text = ::strata::error_of([] { target_by_name("vlm"); });
  EXPECT_NE(text.find("did you mean vllm?"), std::string::npos) << text;
}

TEST(Target, VllmTakesIntegersOfEveryWidth) {
  for (const char* target : {"vllm", "vllm:sm75", "vllm:sm80", "vllm:sm89", "vllm:sm100"})
    for (unsigned bits = 2; bits <= 8; ++bits)
      for (const char* kind : {"_g32", "_channel", "_asym_g64", "_asym_channel"})
        EXPECT_TRUE(takes(target, fmt::format("int{}{}", bits, kind).c_str())) << target << bits << kind;
  EXPECT_FALSE(takes("vllm", "int8_w8a8"));
  EXPECT_FALSE(takes("vllm", "q4_k"));
}

TEST(Target, OlderKernelsHaveFourAndEightBitsWithoutZeroPoints) {
  for (const codec::Codec& codec : codec::all()) {
    if (!codec.is_integer()) continue;
    const bool marlin = codec.symmetric && (codec.code_bits == 4 || codec.code_bits == 8) && codec.name != "int8_w8a8";
    EXPECT_EQ(takes("vllm:marlin", codec.name.c_str()), marlin) << codec.name;
  }
  EXPECT_TRUE(takes("vllm:cpu", "int4_asym_g32") && takes("vllm:cpu", "int8_w8a8"));
  EXPECT_FALSE(takes("vllm:cpu", "int3_g32") || takes("vllm:cpu", "int8_g32"));
  EXPECT_TRUE(takes("vllm:rocm", "int4_asym_g32"));
  EXPECT_FALSE(takes("vllm:rocm", "int8_g32") || takes("vllm:rocm", "nvfp4"));
}

TEST(Target, InputsAreRoundedWhereTheKernelsDoIt) {
  const auto kind = [](const char* target, const char* codec) {
    return rounded_inputs(target_by_name(target)).of(codec::by_name(codec));
  };
  using enum codec::ActivationRounding::Kind;
  EXPECT_EQ(kind("vllm", "fp8_channel"), e4m3_token);
  EXPECT_EQ(kind("vllm:sm80", "fp8_channel"), none);
  EXPECT_EQ(kind("transformers", "fp8_channel"), none);
  EXPECT_EQ(kind("vllm:sm100", "nvfp4_a4"), nvfp4);
  EXPECT_EQ(kind("vllm:sm89", "nvfp4_a4"), none);
  EXPECT_EQ(kind("vllm:cpu", "int8_w8a8"), int8_token);
  EXPECT_EQ(kind("vllm:sm100", "nvfp4"), none);
  EXPECT_EQ(kind("h100", "fp8_block"), e4m3_groups);
  EXPECT_TRUE(rounded_inputs(target_by_name("llama.cpp")).kinds.empty());
}

TEST(Target, CodecsThatRoundInputsAreChoicesWhereTheyAreNamed) {
  EXPECT_TRUE(takes("vllm:sm100", "mxfp4_a4") && takes("vllm:sm100", "mxfp8_a8") && takes("vllm:sm100", "nvfp4_a4"));
  EXPECT_TRUE(takes("vllm", "fp8_static") && takes("vllm:cpu", "fp8_static"));
  EXPECT_TRUE(takes_in_experts("vllm", "fp8_block") && takes("vllm:sm75", "fp8_block"));
  EXPECT_FALSE(takes("vllm:cpu", "fp8_block") || takes("transformers", "fp8_block"));
  EXPECT_FALSE(takes("vllm:sm75", "mxfp4_a4") || takes("transformers", "nvfp4_a4"));
  EXPECT_TRUE(takes_in_experts("vllm", "nvfp4_a4"));
  EXPECT_FALSE(takes_in_experts("vllm", "fp8_static") || takes_in_experts("vllm", "mxfp4_a4"));
  for (const codec::Codec* codec : allowed_codecs(target_by_name("vllm"), {}).codecs)
    EXPECT_EQ(codec->activations, codec::ActivationRounding::Kind::none) << codec->name;
}

TEST(Target, GpusDifferInFormatsOfFourBitsAndInExperts) {
  EXPECT_FALSE(takes("vllm:sm75", "mxfp4") || takes("vllm:sm100", "mxfp4") || takes("vllm:sm100", "mxfp8"));
  EXPECT_TRUE(takes("vllm:sm80", "mxfp4") && takes("vllm:sm75", "fp8_channel"));
  for (const char* target : {"vllm", "vllm:sm80", "vllm:sm100"}) {
    EXPECT_TRUE(takes_in_experts(target, "int3_asym_g64")) << target;
    EXPECT_FALSE(takes_in_experts(target, "int8_asym_g64")) << target;
    EXPECT_FALSE(takes_in_experts(target, "int3_channel")) << target;
    EXPECT_FALSE(takes_in_experts(target, "mxfp8")) << target;
  }
  EXPECT_TRUE(takes_in_experts("vllm:sm80", "int4_channel")) << "by Marlin";
  EXPECT_FALSE(takes_in_experts("vllm:sm89", "int4_channel") || takes_in_experts("vllm", "int4_channel")) << "Hopper";
}

TEST(Target, LargeCodesWithZeroPointsAreChoicesOnRequest) {
  const Target& vllm = target_by_name("vllm");
  const auto holds = [](const AllowedCodecs& allowed, const char* name) {
    return std::ranges::find(allowed.codecs, name, &codec::Codec::name) != allowed.codecs.end();
  };
  const AllowedCodecs all = allowed_codecs(vllm, {});
  EXPECT_TRUE(holds(all, "int4_asym_g32") && holds(all, "int3_g64") && holds(all, "int7_g64"));
  EXPECT_FALSE(holds(all, "int6_asym_g32"));
  EXPECT_TRUE(std::ranges::any_of(all.left_out, [](const LeftOut& item) {
    return item.codec == "int6_asym_g32" && item.reason.find("--codecs") != std::string::npos;
  }));
  const std::vector<std::string> asked = {"int6_asym_g32"};
  EXPECT_TRUE(holds(allowed_codecs(vllm, asked), "int6_asym_g32"));
}

TEST(Target, SaysTheVersionThatBroughtACodec) {
  const Target& vllm = target_by_name("vllm");
  const auto version = [&](const char* dense, const char* experts) {
    return least_version(vllm, scheme_of(codec::by_name(dense)), scheme_of(codec::by_name(experts)));
  };
  EXPECT_EQ(version("int4_g64", "keep"), "vLLM 0.24");
  EXPECT_EQ(version("int3_g64", "keep"), "vLLM 0.25");
  EXPECT_EQ(version("int4_g64", "int3_g64"), "vLLM 0.29");
  EXPECT_EQ(version("int3_asym_g64", "keep"), "vLLM 0.31");
  EXPECT_EQ(least_version(target_by_name("transformers"), kAnyScheme, kAnyScheme), "");
}

TEST(Schemes, EveryCodecIsOne) {
  for (const codec::Codec& codec : codec::all()) EXPECT_EQ(std::popcount(scheme_of(codec).bits), 1) << codec.name;
  EXPECT_FALSE((symmetric(2, 8) | kFp8).meet(asymmetric(2, 8)));
  EXPECT_TRUE(asymmetric(2, 8).hold(asymmetric(3)));
  EXPECT_FALSE((symmetric(2, 8) - symmetric(4)).hold(symmetric(4)));
}

using Kind = codec::ActivationRounding::Kind;

TEST(Roundings, AreThoseOfTheTargetsKernels) {
  const auto does = [](const char* target, Kind kind) { return target_by_name(target).roundings.hold(kind); };
  for (const Kind kind : {Kind::e4m3_token, Kind::e4m3_groups, Kind::e4m3_tensor}) {
    EXPECT_TRUE(does("vllm", kind) && does("vllm:sm89", kind) && does("vllm:sm100", kind) && does("vllm:rocm", kind));
    EXPECT_FALSE(does("vllm:sm75", kind) || does("vllm:sm80", kind)) << "Marlin multiplies with inputs in bf16";
  }
  EXPECT_TRUE(does("vllm:cpu", Kind::int8_token) && does("vllm:sm80", Kind::int8_token));
  EXPECT_TRUE(does("vllm:cpu", Kind::e4m3_token) && !does("vllm:cpu", Kind::e4m3_groups));
  EXPECT_TRUE(does("vllm:sm100", Kind::nvfp4) && does("vllm:sm100", Kind::mxfp8));
  EXPECT_FALSE(does("vllm", Kind::nvfp4) || does("vllm:sm89", Kind::nvfp4));
  for (const Target& target : targets()) {
    EXPECT_FALSE(target.roundings.hold(Kind::none) || target.roundings.hold(Kind::unknown)) << target.name;
    const bool of_vllm = target.container == codec::Container::compressed_tensors;
    EXPECT_TRUE(of_vllm || (target.roundings.bits == 0 && !target.fp8_cache)) << target.name;
  }
}

}  // namespace target_test
}  // namespace strata::pipeline
