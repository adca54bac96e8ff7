// Tests which quantization_config is written, which of other tools' are read, and how stored tensors find their codec.
// The worked example is the one of docs/formats/compressed-tensors.md.
#include "format/compressed_tensors.h"

#include "support/file_bytes.h"

namespace strata::format {
namespace compressed_tensors_test {

using codec::by_name;

json config_of(const std::vector<std::pair<std::string, std::string>>& modules, Activations activations,
               const std::vector<std::string>& ignored = {"lm_head"}) {
  std::vector<ModuleCodec> entries;
  for (const auto& [module, name] : modules) entries.push_back({module, &by_name(name)});
  return quantization_config(entries, ignored, activations);
}

TEST(QuantizationConfig, TheExampleOfTheFormatPage) {
  const json config = config_of({{"model.layers.0.mlp.up_proj", "int4_g64"}, {"model.layers.0.mlp.down_proj", "keep"}},
                                Activations::none);
  EXPECT_EQ(config.dump(2), R"({
  "quant_method": "compressed-tensors",
  "version": "0.18.0",
  "format": "pack-quantized",
  "quantization_status": "compressed",
  "global_compression_ratio": null,
  "kv_cache_scheme": null,
  "sparsity_config": {},
  "transform_config": {},
  "ignore": [
    "lm_head",
    "model.layers.0.mlp.down_proj"
  ],
  "config_groups": {
    "group_000": {
      "format": "pack-quantized",
      "targets": [
        "model.layers.0.mlp.up_proj"
      ],
      "weights": {
        "num_bits": 4,
        "type": "int",
        "symmetric": true,
        "strategy": "group",
        "group_size": 64,
        "dynamic": false,
        "actorder": null,
        "block_structure": null,
        "observer": "memoryless_minmax",
        "observer_kwargs": {},
        "scale_dtype": null,
        "zp_dtype": null
      },
      "input_activations": null,
      "output_activations": null
    }
  }
})");
}

TEST(QuantizationConfig, NothingQuantizedGivesNoConfiguration) {
  EXPECT_EQ(config_of({{"a", "keep"}}, Activations::dynamic), json::object());
}

TEST(QuantizationConfig, OneGroupACodecByFirstAppearance) {
  const json config = config_of({{"a", "nvfp4"}, {"b", "int4_g64"}, {"c", "nvfp4"}, {"d", "keep"}, {"e", "mxfp8"}},
                                Activations::none, {"lm_head", "d", "lm_head"});
  EXPECT_EQ(config["format"], "mixed-precision");
  EXPECT_EQ(config["ignore"], json({"lm_head", "d"}));
  const json& groups = config["config_groups"];
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups["group_000"]["targets"], json({"a", "c"}));
  EXPECT_EQ(groups["group_000"]["format"], "nvfp4-pack-quantized");
  EXPECT_EQ(groups["group_000"]["weights"]["strategy"], "tensor_group");
  EXPECT_EQ(groups["group_000"]["weights"]["scale_dtype"], "torch.float8_e4m3fn");
  EXPECT_EQ(groups["group_001"]["targets"], json({"b"}));
  EXPECT_EQ(groups["group_002"]["weights"]["scale_dtype"], "torch.uint8");
}

TEST(QuantizationConfig, TwoCodecsOfOneFormatAreNotMixed) {
  EXPECT_EQ(config_of({{"a", "int4_g64"}, {"b", "int8_channel"}}, Activations::none)["format"], "pack-quantized");
}

TEST(QuantizationConfig, ActivationsAreDeclaredWhereAKernelWantsThem) {
  const auto input = [](const std::string& name, Activations activations) {
    return config_of({{"a", name}}, activations)["config_groups"]["group_000"]["input_activations"];
  };
  const json token = {
      {"num_bits", 8}, {"type", "float"}, {"strategy", "token"}, {"dynamic", true}, {"symmetric", true}};
  EXPECT_EQ(input("fp8_channel", Activations::dynamic), token);
  EXPECT_TRUE(input("fp8_channel", Activations::none).is_null());
  EXPECT_EQ(input("int8_w8a8", Activations::none)["type"], "int");
  EXPECT_TRUE(input("int4_g64", Activations::dynamic).is_null());
  EXPECT_TRUE(input("nvfp4", Activations::dynamic).is_null());
  const json fixed = {
      {"num_bits", 8}, {"type", "float"}, {"strategy", "tensor"}, {"dynamic", false}, {"symmetric", true}};
  EXPECT_EQ(input("fp8_static", Activations::dynamic), fixed);
  const json local = {
      {"num_bits", 4},     {"type", "float"},  {"strategy", "tensor_group"},          {"dynamic", "local"},
      {"symmetric", true}, {"group_size", 16}, {"scale_dtype", "torch.float8_e4m3fn"}};
  EXPECT_EQ(input("nvfp4_a4", Activations::none), local);
  EXPECT_EQ(input("mxfp4_a4", Activations::none)["group_size"], 32);
  EXPECT_EQ(input("fp8_block", Activations::none)["strategy"], "group");
  EXPECT_EQ(input("fp8_block", Activations::none)["group_size"], 128);
  EXPECT_EQ(input("mxfp8_a8", Activations::none)["scale_dtype"], "torch.uint8");
}

TEST(QuantizationConfig, EveryCodecIsReadBack) {
  std::size_t count = 0;
  for (const codec::Codec& codec : codec::all()) {
    if (!has_scheme(codec)) continue;
    ++count;
    const codec::Codec* first = nullptr;  // of those with these weights
    for (const codec::Codec& other : codec::all()) {
      if (!has_scheme(other) || !(scheme_of(codec) == scheme_of(other))) continue;
      if (first == nullptr) first = &other;
      EXPECT_TRUE(&codec == &other || codec.activations != other.activations) << codec.name << " " << other.name;
    }
    const json config = config_of({{"m", codec.name}, {"n", "keep"}}, Activations::dynamic);
    const auto scheme = QuantizationScheme::parse(parse_json(config.dump(), "c"), "c");
    if (scheme_of(codec).strategy == "block") first = nullptr;  // EncodedMatrix reads blocks of any size
    ASSERT_EQ(scheme.codec_of("m"), first) << codec.name;
    if (codec.activations != codec::ActivationRounding::Kind::none) {
      EXPECT_EQ(scheme.activations_of("m"), codec.activations) << codec.name;
    }
    EXPECT_EQ(scheme.codec_of("n"), nullptr);
    EXPECT_EQ(scheme.codec_of("lm_head"), nullptr);
  }
  EXPECT_GE(count, 37u);
}

json foreign(const std::string& group, const std::string& format = "pack-quantized", const std::string& rest = "") {
  return parse_json(fmt::format(R"({{"quant_method":"compressed-tensors","quantization_status":"compressed",)"
                                R"("format":"{}","ignore":["lm_head"],"config_groups":{{"group_0":{}}}{}}})",
                                format, group, rest),
                    "test");
}

json foreign_weights(const std::string& weights, const std::string& format) {
  return foreign(R"({"targets":["Linear"],"weights":)" + weights + "}", format);
}

struct Foreign {
  const char* why;
  std::string weights, format, codec;
};

class ForeignSchemes : public testing::TestWithParam<Foreign> {};

TEST_P(ForeignSchemes, AreReadAsTheCodec) {
  const auto scheme = QuantizationScheme::parse(foreign_weights(GetParam().weights, GetParam().format), "c");
  const codec::Codec* codec = scheme.codec_of("model.layers.0.mlp.up_proj");
  ASSERT_NE(codec, nullptr);
  EXPECT_EQ(codec->name, GetParam().codec);
  EXPECT_EQ(scheme.codec_of("lm_head"), nullptr);
}

INSTANTIATE_TEST_SUITE_P(
    LlmCompressor, ForeignSchemes,
    testing::Values(
        Foreign{"W4A16",
                R"({"num_bits":4,"type":"int","symmetric":true,"strategy":"group","group_size":128,"dynamic":false,
                 "actorder":"weight","block_structure":null,"observer":"mse","observer_kwargs":{"grid":20}})",
                "pack-quantized", "int4_g128"},
        Foreign{"W4A16_ASYM", R"({"num_bits":4,"type":"int","symmetric":false,"strategy":"group","group_size":128})",
                "pack-quantized", "int4_asym_g128"},
        Foreign{"W7A16", R"({"num_bits":7,"group_size":64})", "pack-quantized", "int7_g64"},
        Foreign{"W8A16", R"({"num_bits":8,"type":"int","strategy":"channel","group_size":-1})", "pack-quantized",
                "int8_channel"},
        Foreign{"W8A8", R"({"num_bits":8,"type":"int","symmetric":true,"strategy":"channel","group_size":null})",
                "int-quantized", "int8_w8a8"},
        Foreign{"FP8_DYNAMIC", R"({"num_bits":8,"type":"float","symmetric":true,"strategy":"channel"})",
                "float-quantized", "fp8_channel"},
        Foreign{"FP8_NAIVE", R"({"num_bits":8,"type":"FLOAT","symmetric":true,"strategy":"Channel"})",
                "naive-quantized", "fp8_channel"},
        Foreign{"NVFP4A16",
                R"({"num_bits":4,"type":"float","symmetric":true,"strategy":"tensor_group","group_size":16})",
                "nvfp4-pack-quantized", "nvfp4"},
        Foreign{"MXFP4A16",
                R"({"num_bits":4,"type":"float","strategy":"group","group_size":32,"scale_dtype":"torch.uint8"})",
                "mxfp4-pack-quantized", "mxfp4"},
        Foreign{"InferredGroup", R"({"num_bits":4,"group_size":32})", "pack-quantized", "int4_g32"},
        Foreign{"InferredChannel", R"({"num_bits":4,"group_size":-1})", "pack-quantized", "int4_channel"}),
    [](const auto& row) { return row.param.why; });

TEST(DecodedSchemes, Fp8OfTensorsAndBlocksHasNoCodecAndIsReadAsDense) {
  for (const char* strategy : {R"("tensor")", R"("block","block_structure":[128,128])"}) {
    const json config =
        foreign_weights(fmt::format(R"({{"num_bits":8,"type":"float","strategy":{}}})", strategy), "float-quantized");
    EXPECT_EQ(QuantizationScheme::parse(config, "c").codec_of("m"), nullptr) << strategy;
  }
}

struct BadConfig {
  const char* why;
  json config;
  const char* message;  ///< must be part of the error
};

class BadConfigs : public testing::TestWithParam<BadConfig> {};

TEST_P(BadConfigs, AreRefusedByName) {
  const std::string message = error_of([] { QuantizationScheme::parse(GetParam().config, "c"); });
  EXPECT_TRUE(message.starts_with("c: ")) << message;
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Configs, BadConfigs,
    testing::Values(
        BadConfig{"list", json::array(), "is no object"},
        BadConfig{"no_method", json::object(), "'quant_method' is missing"},
        BadConfig{"gptq", json({{"quant_method", "gptq"}, {"bits", 4}}), "quantization method 'gptq' cannot be read"},
        BadConfig{"no_groups", json({{"quant_method", "compressed-tensors"}}), "'config_groups' is missing"},
        BadConfig{"status", json({{"quant_method", "compressed-tensors"}, {"quantization_status", "initialized"}}),
                  "'initialized'"},
        BadConfig{"sparse", foreign("{}", "dense", R"(,"sparsity_config":{"format":"sparse-24-bitmask"})"),
                  "sparse-24-bitmask"},
        BadConfig{"transforms", foreign("{}", "dense", R"(,"transform_config":{"config_groups":{"u":{}}})"),
                  "transform"},
        BadConfig{"preset", foreign(R"(["Linear"])"), "config group 'group_0': is no object"},
        BadConfig{"no_targets", foreign(R"({"weights":{"num_bits":4,"group_size":32}})"), "'targets' is missing"},
        BadConfig{"targets_text", foreign(R"({"targets":"Linear","weights":{"num_bits":4,"group_size":32}})"),
                  "'targets' is no list"},
        BadConfig{"targets_numbers", foreign(R"({"targets":[1],"weights":{"num_bits":4,"group_size":32}})"),
                  "'targets' holds other than texts"},
        BadConfig{"weights_text", foreign(R"({"targets":["Linear"],"weights":"W4A16"})"), "'weights' is no object"},
        BadConfig{
            "fp8_group",
            foreign_weights(R"({"num_bits":8,"type":"float","strategy":"group","group_size":128})", "float-quantized"),
            "no codec reads the scheme 'float-quantized float8 group 128 symmetric'"},
        BadConfig{"int8_block",
                  foreign_weights(R"({"num_bits":8,"type":"int","strategy":"block","block_structure":[128,128]})",
                                  "int-quantized"),
                  "int8 block symmetric"},
        BadConfig{"nine_bits", foreign_weights(R"({"num_bits":9,"group_size":64})", "pack-quantized"),
                  "'pack-quantized int9 group 64 symmetric'"},
        BadConfig{"marlin", foreign_weights(R"({"num_bits":4,"group_size":128})", "marlin-24"), "marlin-24"},
        BadConfig{"no_format", foreign_weights(R"({"num_bits":4,"group_size":128})", ""), "' int4 group 128"},
        BadConfig{"act_order",
                  foreign_weights(R"({"num_bits":4,"group_size":128,"actorder":"group"})", "pack-quantized"),
                  "activation order 'group'"},
        BadConfig{"act_order_true",
                  foreign_weights(R"({"num_bits":4,"group_size":128,"actorder":true})", "pack-quantized"),
                  "activation order 'true'"},
        BadConfig{"dynamic_weights", foreign_weights(R"({"num_bits":8,"dynamic":true})", "int-quantized"), "'dynamic'"},
        BadConfig{"bits_text", foreign_weights(R"({"num_bits":"four","group_size":32})", "pack-quantized"),
                  "'num_bits'"},
        BadConfig{"bits_negative", foreign_weights(R"({"num_bits":-4,"group_size":32})", "pack-quantized"),
                  "'num_bits'"},
        BadConfig{"group_size_0", foreign_weights(R"({"num_bits":4,"group_size":0})", "pack-quantized"),
                  "'group_size' is 0"},
        BadConfig{"bad_pattern", foreign(R"({"targets":["re:(a"],"weights":{"num_bits":4,"group_size":32}})"),
                  "the pattern '(a' cannot be read"},
        BadConfig{"large_pattern",
                  foreign(R"({"targets":["re:((a{100}){100}){100}"],"weights":{"num_bits":4,"group_size":32}})"),
                  "is too large"},
        BadConfig{"target_twice",
                  parse_json(R"({"quant_method":"compressed-tensors","format":"pack-quantized","config_groups":{
                    "a":{"targets":["Linear"],"weights":{"num_bits":4,"group_size":32}},
                    "b":{"targets":["Linear"],"weights":{"num_bits":8,"group_size":32}}}})",
                             "t"),
                  "'Linear' is in another group too"}),
    [](const auto& row) { return row.param.why; });

TEST(Targets, ExactNamesThenPatternsThenClasses) {
  const json config = parse_json(R"({"quant_method":"compressed-tensors","format":"pack-quantized",
    "ignore":["re:.*gate$","a.skipped"],"config_groups":{
      "1":{"targets":["Linear"],"weights":{"num_bits":2,"group_size":32}},
      "2":{"targets":["re:.*\\.v_proj$","re:model\\.x"],"weights":{"num_bits":4,"group_size":32}},
      "3":{"targets":["a.v_proj"],"weights":{"num_bits":8,"group_size":32}},
      "4":{"targets":["Embedding"],"weights":{"num_bits":8,"group_size":64}}}})",
                                 "t");
  const auto scheme = QuantizationScheme::parse(config, "c");
  EXPECT_EQ(scheme.codec_of("a.v_proj")->name, "int8_g32");
  EXPECT_EQ(scheme.codec_of("b.v_proj")->name, "int4_g32");
  EXPECT_EQ(scheme.codec_of("b.v_projection")->name, "int2_g32");  // "$" holds the end
  EXPECT_EQ(scheme.codec_of("model.x.up")->name, "int4_g32");      // anchored at the start only
  EXPECT_EQ(scheme.codec_of("the.model.x")->name, "int2_g32");
  EXPECT_EQ(scheme.codec_of("b.q_proj")->name, "int2_g32");
  EXPECT_EQ(scheme.codec_of("b.embed", kEmbeddingClass)->name, "int8_g64");
  EXPECT_EQ(scheme.codec_of("a.v_proj", kEmbeddingClass)->name, "int8_g32");
  EXPECT_EQ(scheme.codec_of("b.gate"), nullptr);
  EXPECT_EQ(scheme.codec_of("a.skipped"), nullptr);
  EXPECT_EQ(scheme.codec_of("a.skipped.child")->name, "int2_g32");  // a parent's name ignores nothing
}

TEST(Targets, WithoutAMatchAModuleIsNotQuantized) {
  const auto scheme =
      QuantizationScheme::parse(foreign(R"({"targets":["x"],"weights":{"num_bits":4,"group_size":32}})"), "c");
  EXPECT_EQ(scheme.codec_of("y"), nullptr);
}

TEST(Targets, PatternsThatDisagreeAreRefused) {
  const json config = parse_json(R"({"quant_method":"compressed-tensors","format":"pack-quantized","config_groups":{
      "1":{"targets":["re:.*proj"],"weights":{"num_bits":2,"group_size":32}},
      "2":{"targets":["re:.*v_proj"],"weights":{"num_bits":4,"group_size":32}}}})",
                                 "t");
  const auto scheme = QuantizationScheme::parse(config, "c");
  EXPECT_EQ(scheme.codec_of("q_proj")->name, "int2_g32");
  EXPECT_NE(error_of([&] { scheme.codec_of("v_proj"); }).find("'.*proj' and '.*v_proj' both match v_proj"),
            std::string::npos);
}

TEST(Targets, PatternsWithHugeNumbersAreRefused) {
  EXPECT_THROW(TargetPattern("\\5555555555555555555", "c"), Error);
  EXPECT_THROW(TargetPattern("a{5555555555555555555}", "c"), Error);
  EXPECT_TRUE(TargetPattern("layers\\.123456789\\.", "c").matches("layers.123456789.q"));
}

TEST(Targets, PatternsThatBeginWithAnythingMatchAsTheirSyntaxSays) {
  EXPECT_TRUE(TargetPattern(".*\\bvisual\\b", "c").matches("model.visual.blocks.0"));
  EXPECT_FALSE(TargetPattern(".*\\bvisual\\b", "c").matches("model.visuals.blocks.0"));
  EXPECT_TRUE(TargetPattern(".*ab?c", "c").matches("x.ac"));
  EXPECT_TRUE(TargetPattern(".*a|b", "c").matches("b"));
  EXPECT_TRUE(TargetPattern(".*(visual|audio)", "c").matches("model.audio"));
  EXPECT_FALSE(TargetPattern(".*visual", "c").matches("model.audio"));
}

TEST(Targets, PatternsWithAChoiceBeforeTheirEndMatchAsTheirSyntaxSays) {
  const TargetPattern blocks(".*\\blayers\\.(0|12)\\.mlp\\.up_proj$", "c");
  EXPECT_TRUE(blocks.matches("model.layers.12.mlp.up_proj"));
  EXPECT_TRUE(blocks.matches("layers.0.mlp.up_proj"));
  EXPECT_FALSE(blocks.matches("layers.1.mlp.up_proj"));
  EXPECT_FALSE(blocks.matches("layers.0.mlp.up_projection"));
  EXPECT_FALSE(blocks.matches("layers.0.mlpxup_proj"));
  EXPECT_TRUE(TargetPattern("(a|b)|c$", "c").matches("a.d"));
  EXPECT_TRUE(TargetPattern("x|(a|b)c$", "c").matches("xd"));
  EXPECT_TRUE(TargetPattern("(a|b)cd*$", "c").matches("ac"));
  EXPECT_TRUE(TargetPattern("\\(a|b\\)c$", "c").matches("(a.d"));
  EXPECT_TRUE(TargetPattern("(a|b)\\x41$", "c").matches("aA"));
}

TEST(Targets, PatternsThatWouldBacktrackForeverAreMatched) {
  const TargetPattern pattern("(a*)*(a|aa)+b", "c");
  EXPECT_FALSE(pattern.matches(std::string(500, 'a')));
  EXPECT_TRUE(pattern.matches(std::string(500, 'a') + "b"));
  EXPECT_TRUE(TargetPattern("^(?!.*lm_head).*[0-9]{1,3}\\.q", "c").matches("layers.12.q_proj"));
  EXPECT_FALSE(TargetPattern("^(?!.*lm_head).*", "c").matches("x.lm_head"));
}

using ActivationKind = codec::ActivationRounding::Kind;

ActivationKind activations_in(const std::string& declared) {
  const std::string group =
      R"({"targets":["Linear"],"weights":{"num_bits":8,"strategy":"channel"},"input_activations":)" + declared + "}";
  return QuantizationScheme::parse(foreign(group, "int-quantized"), "c").activations_of("m");
}

TEST(Activations, AreReadFromWhatAGroupDeclares) {
  using enum codec::ActivationRounding::Kind;
  EXPECT_EQ(activations_in("null"), none);
  EXPECT_EQ(activations_in(R"({"num_bits":8,"type":"int","strategy":"token","dynamic":true,"symmetric":true})"),
            int8_token);
  EXPECT_EQ(activations_in(R"({"num_bits":8,"type":"FLOAT","strategy":"token","dynamic":true})"), e4m3_token);
  EXPECT_EQ(activations_in(R"({"num_bits":8,"type":"float","strategy":"tensor","dynamic":false})"), e4m3_tensor);
  EXPECT_EQ(activations_in(R"({"num_bits":8,"type":"float"})"), e4m3_tensor) << "as compressed-tensors infers it";
  EXPECT_EQ(activations_in(R"({"num_bits":8,"type":"float","strategy":"group","group_size":128,"dynamic":true})"),
            e4m3_groups);
  EXPECT_EQ(
      activations_in(R"({"num_bits":4,"type":"float","strategy":"tensor_group","group_size":16,"dynamic":"local"})"),
      nvfp4);
  EXPECT_EQ(activations_in(R"({"num_bits":4,"type":"float","strategy":"group","group_size":32,"dynamic":true})"),
            mxfp4);
  EXPECT_EQ(activations_in(R"({"num_bits":8,"type":"float","group_size":32,"dynamic":true})"), mxfp8);
}

TEST(Activations, ThatAreNotKnownNeverStopTheReading) {
  for (const char* declared :
       {R"({"num_bits":8})", R"({"num_bits":8,"type":"int","strategy":"token","dynamic":true,"symmetric":false})",
        R"({"num_bits":-8,"type":"int","strategy":"token","dynamic":true})", R"({"num_bits":"8"})", R"([1,2])",
        R"("FP8")", R"(7)", R"({"dynamic":{},"type":[],"strategy":1e99,"group_size":-1})", R"({})"})
    EXPECT_EQ(activations_in(declared), ActivationKind::unknown) << declared;
}

TEST(Activations, AreThoseOfTheModulesGroupAndOfNoneThatIsIgnored) {
  const json config =
      config_of({{"a", "fp8_channel"}, {"b", "int8_w8a8"}, {"d", "int4_g64"}, {"c", "keep"}}, Activations::dynamic);
  const auto scheme = QuantizationScheme::parse(config, "c");
  EXPECT_EQ(scheme.activations_of("a"), ActivationKind::e4m3_token);
  EXPECT_EQ(scheme.activations_of("b"), ActivationKind::int8_token);
  for (const char* module : {"c", "d", "lm_head", "other"})
    EXPECT_EQ(scheme.activations_of(module), ActivationKind::none) << module;
}

/// A module "m" of (64, 128) weights as a codec stores it, in memory.
class BoundModule : public testing::Test {
 protected:
  void store(const std::string& name) {
    codec_ = &by_name(name);
    tensors_.clear();
    bytes_ = codec::allocate(*codec_, 64, 128);
    for (std::size_t i = 0; i < bytes_.specs.size(); ++i) {
      const auto& spec = bytes_.specs[i];
      if (spec.suffix == "weight_shape") {
        const std::int64_t shape[2] = {64, 128};
        std::memcpy(bytes_.parts[i].data(), shape, sizeof shape);
      }
      if (spec.suffix == "weight_global_scale") {
        const float one = 1.0f;
        std::memcpy(bytes_.parts[i].data(), &one, sizeof one);
      }
      tensors_["m." + spec.suffix] = {"m." + spec.suffix, spec.dtype, spec.shape, bytes_.parts[i]};
    }
  }
  codec::Stored bind(std::uint64_t rows = 64, std::uint64_t cols = 128) {
    return bind_stored(
        *codec_, "m", rows, cols,
        [&](std::string_view name) -> const TensorView* {
          const auto it = tensors_.find(name);
          return it == tensors_.end() ? nullptr : &it->second;
        },
        "dir");
  }
  /// Replaces the bytes of a tensor by `count` values.
  template <class T>
  void fill(const std::string& name, DType dtype, std::size_t count, T value) {
    replaced_.assign(count * sizeof(T), std::byte{0});
    for (std::size_t i = 0; i < count; ++i) std::memcpy(replaced_.data() + i * sizeof(T), &value, sizeof(T));
    tensors_.at(name).dtype = dtype;
    tensors_.at(name).data = replaced_;
  }
  std::string error() {
    return error_of([&] { bind(); });
  }

  const codec::Codec* codec_ = nullptr;
  codec::Stored bytes_;
  std::map<std::string, TensorView, std::less<>> tensors_;
  Bytes replaced_;
};

TEST_F(BoundModule, EveryCodecIsBoundToItsTensors) {
  for (const codec::Codec& codec : codec::all()) {
    if (codec.container == codec::Container::gguf) continue;  // not in such checkpoints
    store(codec.name);
    const codec::Stored bound = bind();
    EXPECT_EQ(bound.codec, &codec);
    EXPECT_EQ(bound.rows, 64u);
    EXPECT_EQ(bound.cols, 128u);
    ASSERT_EQ(bound.views.size(), bytes_.specs.size());
    for (std::size_t i = 0; i < bound.views.size(); ++i) {
      EXPECT_EQ(bound.views[i].data(), bytes_.parts[i].data());
      EXPECT_EQ(bound.views[i].size(), bytes_.parts[i].size());
    }
  }
}

TEST_F(BoundModule, AMissingTensorIsNamed) {
  store("int4_g64");
  tensors_.erase("m.weight_scale");
  EXPECT_EQ(error(), "dir: tensor 'm.weight_scale': is missing; the configuration says that the module is int4_g64");
}

TEST_F(BoundModule, AnotherShapeOrDtypeIsNamed) {
  store("int4_g64");
  tensors_.at("m.weight_packed").shape = {64, 15};
  EXPECT_EQ(error(), "dir: tensor 'm.weight_packed': has the shape (64, 15), int4_g64 needs (64, 16)");
  store("int4_g64");
  tensors_.at("m.weight_packed").dtype = DType::u32;
  EXPECT_EQ(error(), "dir: tensor 'm.weight_packed': is U32, int4_g64 needs I32");
}

TEST_F(BoundModule, AShapeThatTheCodecCannotHoldIsRefused) {
  store("int4_g64");
  EXPECT_NE(error_of([&] { bind(64, 100); }).find("cannot be int4_g64"), std::string::npos);
  EXPECT_NE(error_of([&] { bind(0, 128); }).find("cannot be int4_g64"), std::string::npos);
}

TEST_F(BoundModule, ExtentsOfOneNeedNotAgree) {
  store("fp8_channel");
  tensors_.at("m.weight_scale").shape = {64};
  EXPECT_NO_THROW(bind());
  tensors_.at("m.weight_scale").shape = {1, 64};
  EXPECT_NO_THROW(bind());
  store("nvfp4");
  tensors_.at("m.weight_global_scale").shape = {};
  EXPECT_NO_THROW(bind());
}

TEST_F(BoundModule, WiderScalesAreNarrowedWhenExact) {
  store("fp8_channel");
  fill("m.weight_scale", DType::f32, 64, 0.0625f);
  const codec::Stored bound = bind();
  ASSERT_EQ(bound.views[1].size(), 128u);
  EXPECT_EQ(bound.views[1][0], std::byte{0x80});  // 0.0625 is 3D80 in BF16
  EXPECT_EQ(bound.views[1][1], std::byte{0x3D});
  fill("m.weight_scale", DType::f16, 64, std::uint16_t{0x2C00});  // 0.0625
  EXPECT_NO_THROW(bind());
  fill("m.weight_scale", DType::f32, 64, 0.1f);
  EXPECT_NE(error().find("is F32 with values that BF16 cannot hold"), std::string::npos);
  fill("m.weight_scale", DType::f64, 64, 0.5);
  EXPECT_NE(error().find("is F64, fp8_channel needs BF16"), std::string::npos);
}

TEST_F(BoundModule, AWeightShapeThatDisagreesIsRefused) {
  store("int4_g64");
  fill("m.weight_shape", DType::i64, 2, std::int64_t{128});
  EXPECT_NE(error().find("says (128, 128), the model's configuration (64, 128)"), std::string::npos);
  fill("m.weight_shape", DType::i64, 2, std::int64_t{-1});
  EXPECT_NE(error().find("says (-1, -1)"), std::string::npos);
}

TEST_F(BoundModule, AGlobalScaleMustBePositive) {
  for (const float bad :
       {0.0f, -1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    store("nvfp4");
    fill("m.weight_global_scale", DType::f32, 1, bad);
    EXPECT_NE(error().find("a positive number is expected"), std::string::npos) << bad;
  }
}

TEST_F(BoundModule, BlockScalesMayBeNamedByTheirFormat) {
  store("mxfp4");
  tensors_.at("m.weight_scale").dtype = DType::e8m0;
  EXPECT_NO_THROW(bind());
}

TEST_F(BoundModule, ActivationOrderIsRefused) {
  store("int4_g64");
  tensors_["m.weight_g_idx"] = {"m.weight_g_idx", DType::i32, {128}, {}};
  EXPECT_NE(error().find("activation order"), std::string::npos);
}

}  // namespace compressed_tensors_test
}  // namespace strata::format
