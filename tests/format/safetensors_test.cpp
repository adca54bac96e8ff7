// Tests what the safetensors reader accepts, how it refuses each kind of damage, and the bytes of written headers.
// The worked example is from docs/formats/safetensors.md.
#include "format/safetensors.h"

#include "core/json.h"
#include "support/file_bytes.h"

namespace strata::format {
namespace safetensors_test {

const std::string kGood =
    R"({"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},)"
    R"("b":{"dtype":"F32","shape":[],"data_offsets":[12,16]},"none":{"dtype":"I64","shape":[0,5],"data_offsets":[16,16]}})";

std::vector<TensorView> parse(std::span<const std::byte> bytes) { return parse_safetensors(bytes, "file"); }

TEST(Safetensors, TensorsComeInTheOrderOfTheirData) {
  const Bytes file = safetensors_bytes(
      R"({"late":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},"early":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]}})",
      6);
  const auto tensors = parse(file);
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].name, "early");
  EXPECT_EQ(tensors[0].dtype, DType::f16);
  EXPECT_EQ(tensors[0].shape, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(tensors[1].name, "late");
  ASSERT_EQ(tensors[1].data.size(), 2u);
  EXPECT_EQ(tensors[1].data[0], std::byte{4});
}

TEST(Safetensors, ScalarsAndEmptyTensorsAreRead) {
  const Bytes file = safetensors_bytes(kGood, 16);
  const auto tensors = parse(file);
  ASSERT_EQ(tensors.size(), 3u);
  EXPECT_EQ(tensors[1].name, "b");
  EXPECT_EQ(tensors[1].data.size(), 4u);
  EXPECT_EQ(tensors[2].name, "none");
  EXPECT_TRUE(tensors[2].data.empty());
}

TEST(Safetensors, AFileWithoutTensorsIsRead) { EXPECT_TRUE(parse(safetensors_bytes("{}  ", 0)).empty()); }

struct BadHeader {
  const char* why;
  std::string header;
  std::size_t data_bytes;
  const char* message;  ///< must be part of the error
};

std::string one(const std::string& entry) { return R"({"x":)" + entry + "}"; }

class BadSafetensors : public testing::TestWithParam<BadHeader> {};

TEST_P(BadSafetensors, IsRefusedByName) {
  const Bytes file = safetensors_bytes(GetParam().header, GetParam().data_bytes);
  const std::string message = error_of([&] { parse(file); });
  EXPECT_TRUE(message.starts_with("file: ")) << message;
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Headers, BadSafetensors,
    testing::Values(
        BadHeader{"empty header", "", 0, "does not begin with '{'"},
        BadHeader{"list", "[]", 0, "does not begin with '{'"}, BadHeader{"cut short", R"({"x":)", 0, "not valid JSON"},
        BadHeader{"text behind the object", "{}{}", 0, "not valid JSON"},
        BadHeader{"bad UTF-8", "{\"\xC3\":1}", 0, "not valid JSON"},
        BadHeader{"deep nesting", R"({"x":)" + std::string(5000, '[') + std::string(5000, ']') + "}", 0,
                  "nested deeper"},
        BadHeader{
            "duplicate tensor",
            R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
            2, "'x' occurs twice"},
        BadHeader{"duplicate key in a tensor", one(R"({"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]})"),
                  1, "'dtype' occurs twice"},
        BadHeader{"entry is a number", one("7"), 0, "tensor 'x': its entry in the header is no object"},
        BadHeader{"unknown key", one(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1],"y":0})"), 1, "unknown key 'y'"},
        BadHeader{"no dtype", one(R"({"shape":[1],"data_offsets":[0,1]})"), 1, "'dtype' is missing"},
        BadHeader{"dtype is a number", one(R"({"dtype":1,"shape":[1],"data_offsets":[0,1]})"), 1,
                  "'dtype' is missing or"},
        BadHeader{"unknown dtype", one(R"({"dtype":"F6_E2M3","shape":[1],"data_offsets":[0,1]})"), 1,
                  "dtype 'F6_E2M3'"},
        BadHeader{"no shape", one(R"({"dtype":"U8","data_offsets":[0,1]})"), 1, "'shape' is missing"},
        BadHeader{"negative extent", one(R"({"dtype":"U8","shape":[-1],"data_offsets":[0,1]})"), 1, "non-negative"},
        BadHeader{"fractional extent", one(R"({"dtype":"U8","shape":[1.0],"data_offsets":[0,1]})"), 1, "non-negative"},
        BadHeader{"extent over 64 bits", one(R"({"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1]})"),
                  1, "non-negative"},
        BadHeader{"shape overflows", one(R"({"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]})"), 0,
                  "does not fit in 64 bits"},
        BadHeader{"bytes overflow", one(R"({"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]})"), 0,
                  "does not fit in 64 bits"},
        BadHeader{"no offsets", one(R"({"dtype":"U8","shape":[1]})"), 1, "'data_offsets' is missing"},
        BadHeader{"one offset", one(R"({"dtype":"U8","shape":[1],"data_offsets":[0]})"), 1, "two numbers"},
        BadHeader{"falling offsets", one(R"({"dtype":"U8","shape":[1],"data_offsets":[1,0]})"), 1, "rising order"},
        BadHeader{"past the end", one(R"({"dtype":"U8","shape":[2],"data_offsets":[0,2]})"), 1, "its data ends at 2"},
        BadHeader{"far past the end",
                  one(R"({"dtype":"U8","shape":[2],"data_offsets":[18446744073709551613,18446744073709551615]})"), 1,
                  "its data ends at 18446744073709551615"},
        BadHeader{"size disagrees", one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"), 4,
                  "make 8 bytes, its offsets 4"},
        BadHeader{"gap at the start", one(R"({"dtype":"U8","shape":[1],"data_offsets":[1,2]})"), 2,
                  "no tensor owns the 1 bytes"},
        BadHeader{"bytes at the end", one(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})"), 3, "the last 2 bytes"},
        BadHeader{
            "overlap",
            R"({"x":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"y":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
            4, "tensor 'y' overlaps"},
        BadHeader{
            "same bytes twice",
            R"({"x":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"y":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})",
            3, "overlaps"},
        BadHeader{"unprintable name", "{\"a\\u0007\\n\":1}", 0, "tensor 'a?\?'"}),
    [](const auto& row) {
      std::string name;
      for (const char c : std::string(row.param.why)) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
      return name;
    });

TEST(Safetensors, HeaderLengthsAreChecked) {
  Bytes file = safetensors_bytes(kGood, 16);
  const auto set_length = [&](std::uint64_t length) { std::memcpy(file.data(), &length, 8); };
  set_length(100'000'001);
  EXPECT_NE(error_of([&] { parse(file); }).find("over the limit"), std::string::npos);
  set_length(file.size() - 7);
  EXPECT_NE(error_of([&] { parse(file); }).find("ends behind the file's end"), std::string::npos);
  set_length(UINT64_MAX);
  EXPECT_THROW(parse(file), Error);
}

TEST(Safetensors, AGitLfsPointerIsNamed) {
  ByteWriter out;
  out.raw("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
  EXPECT_NE(error_of([&] { parse(out.bytes); }).find("Git LFS pointer"), std::string::npos);
}

TEST(Safetensors, EveryPrefixIsRefused) {
  const Bytes file = safetensors_bytes(kGood, 16);
  expect_prefixes_refused(file, file.size(), parse);
}

TEST(Safetensors, AHeaderAloneIsReadWhenNoMoreIsRequired) {
  const Bytes whole = safetensors_bytes(kGood, 16);
  for (std::size_t bytes = 0; bytes <= 16; ++bytes) {
    const std::span<const std::byte> cut(whole.data(), whole.size() - 16 + bytes);
    const auto tensors = parse_safetensors(cut, "file", Required::header);
    ASSERT_EQ(tensors.size(), 3u);
    EXPECT_EQ(tensors[0].data.size(), 12u);
    EXPECT_EQ(tensors[0].data.present(), bytes >= 12);
    EXPECT_EQ(tensors[1].data.present(), bytes == 16);
    const std::string today = error_of([&] { parse(cut); });
    const std::string later = error_of([&] {
      for (const TensorView& tensor : tensors) static_cast<void>(std::span<const std::byte>(tensor.data));
    });
    EXPECT_EQ(later, today);
    EXPECT_EQ(later.empty(), bytes == 16);
  }
}

TEST(Safetensors, AHeaderAloneIsCheckedAsAnyOther) {
  const auto error = [](const std::string& header, std::size_t data) {
    const Bytes file = safetensors_bytes(header, data);
    return error_of([&] { parse_safetensors(file, "file", Required::header); });
  };
  EXPECT_NE(error(one(R"({"dtype":"U8","shape":[1],"data_offsets":[1,2]})"), 0).find("no tensor owns the 1 bytes"),
            std::string::npos);
  EXPECT_NE(error(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"), 0).find("make 8 bytes"),
            std::string::npos);
  EXPECT_NE(error(one(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})"), 3).find("the last 2 bytes"),
            std::string::npos);
  const std::string huge = R"({"dtype":"U8","shape":[1125899906842624],"data_offsets":[0,1125899906842624]})";
  EXPECT_NE(error(one(huge), 0).find("its data ends at"), std::string::npos);
}

TEST(Safetensors, EveryBitFlipOfTheHeaderIsRefusedOrRead) {
  const Bytes file = safetensors_bytes(kGood, 16);
  // Only flips inside names and metadata can go unnoticed.
  EXPECT_GT(count_refused_bit_flips(file, 8 + kGood.size(), parse), 8 * kGood.size() / 2);
}

TEST(SafetensorsWriting, TheHeaderIsTheExampleOfTheFormatPage) {
  const std::vector<TensorSpec> specs = {{"w", DType::bf16, {2, 3}}, {"s", DType::f32, {1}}};
  const std::string header = safetensors_header(specs);
  const std::string text =
      R"({"__metadata__":{"format":"pt"},"w":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},)"
      R"("s":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})";
  EXPECT_EQ(text.size(), 144u);
  EXPECT_EQ(header.substr(8), text);
  EXPECT_EQ(header.substr(0, 8), std::string("\x90\0\0\0\0\0\0\0", 8));
}

TEST(SafetensorsWriting, WrittenHeadersAreReadBack) {
  const std::vector<TensorSpec> specs = {
      {"a \"quoted\"\n\u00e9", DType::e4m3, {3}}, {"", DType::u8, {0}}, {"scalar", DType::i64, {}}};
  const std::string header = safetensors_header(specs);
  EXPECT_EQ(header.size() % 8, 0u);
  ByteWriter file;
  file.raw(header).zeros(11);
  const auto tensors = parse(file.bytes);
  ASSERT_EQ(tensors.size(), specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    EXPECT_EQ(tensors[i].name, specs[i].name);
    EXPECT_EQ(tensors[i].dtype, specs[i].dtype);
    EXPECT_EQ(tensors[i].shape, specs[i].shape);
    EXPECT_EQ(tensors[i].data.size(), specs[i].bytes());
  }
}

TEST(SafetensorsWriting, ShardsKeepTheOrderAndTheLimit) {
  const std::vector<TensorSpec> specs = {{"a", DType::u8, {4}},
                                         {"b", DType::u8, {4}},
                                         {"big", DType::u8, {100}},
                                         {"c", DType::u8, {1}},
                                         {"d", DType::u8, {8}}};
  const auto names = [](const std::vector<std::vector<TensorSpec>>& shards) {
    std::string text;
    for (const auto& shard : shards) {
      for (const auto& spec : shard) text += spec.name + " ";
      text += "| ";
    }
    return text;
  };
  EXPECT_EQ(names(cut_shards(specs, 8)), "a b | big | c | d | ");
  EXPECT_EQ(names(cut_shards(specs, 9)), "a b | big | c d | ");
  EXPECT_EQ(names(cut_shards(specs, 0)), "a b big c d | ");
  EXPECT_EQ(names(cut_shards(specs, 1)), "a | b | big | c | d | ");
}

TEST(SafetensorsWriting, TheIndexIsAsTransformersWritesIt) {
  const std::vector<std::vector<TensorSpec>> shards = {{{"z", DType::f32, {2}}},
                                                       {{"b", DType::u8, {3}}, {"a", DType::u8, {1}}}};
  EXPECT_EQ(shard_name(0, 1), "model.safetensors");
  EXPECT_EQ(shard_name(1, 12), "model-00002-of-00012.safetensors");
  EXPECT_EQ(shard_index(shards), R"({
  "metadata": {
    "total_size": 12
  },
  "weight_map": {
    "a": "model-00002-of-00002.safetensors",
    "b": "model-00002-of-00002.safetensors",
    "z": "model-00001-of-00002.safetensors"
  }
}
)");
}

class SafetensorsFolder : public testing::Test {
 protected:
  void write_tensors(const std::string& file, const std::vector<TensorSpec>& specs) {
    ByteWriter out;
    out.raw(safetensors_header(specs));
    for (const TensorSpec& spec : specs) out.zeros(spec.bytes());
    write_bytes(folder_ / file, out.bytes);
  }
  void write_index(const json& weight_map) {
    write_json_file(folder_ / "model.safetensors.index.json",
                    {{"metadata", {{"total_size", 0}}}, {"weight_map", weight_map}});
  }
  std::string open_error() {
    return error_of([&] { SafetensorsSet::open_directory(folder_.path()); });
  }
  TemporaryFolder folder_;
};

TEST_F(SafetensorsFolder, OneFileIsRead) {
  write_tensors("model.safetensors", {{"b", DType::u8, {2}}, {"a", DType::u8, {1}}});
  SafetensorsSet set = SafetensorsSet::open_directory(folder_.path());
  const TensorView* before = set.find("b");
  ASSERT_NE(before, nullptr);
  const SafetensorsSet moved = std::move(set);
  EXPECT_EQ(moved.find("b"), before);
  EXPECT_EQ(before->data[1], std::byte{0});
  EXPECT_EQ(moved.find("c"), nullptr);
  EXPECT_EQ(moved.tensors().begin()->first, "a");
}

TEST_F(SafetensorsFolder, ShardsAreReadAsOneSet) {
  write_tensors("one.safetensors", {{"a", DType::u8, {1}}});
  write_tensors("two.safetensors", {{"b", DType::u8, {2}}, {"empty", DType::u8, {0}}});
  write_index({{"a", "one.safetensors"}, {"b", "two.safetensors"}, {"empty", "two.safetensors"}});
  const auto set = SafetensorsSet::open_directory(folder_.path());
  EXPECT_EQ(set.tensors().size(), 3u);
  EXPECT_EQ(set.files().size(), 2u);
}

TEST_F(SafetensorsFolder, ASetOfHeadersKnowsThatItIsNotComplete) {
  write_tensors("one.safetensors", {{"a", DType::u8, {1}}});
  write_tensors("two.safetensors", {{"b", DType::u8, {2}}});
  write_index({{"a", "one.safetensors"}, {"b", "two.safetensors"}});
  EXPECT_TRUE(SafetensorsSet::open_directory(folder_.path(), Required::header).complete());
  const auto two = folder_ / "two.safetensors";
  std::filesystem::resize_file(two, std::filesystem::file_size(two) - 1);
  const auto set = SafetensorsSet::open_directory(folder_.path(), Required::header);
  EXPECT_FALSE(set.complete());
  EXPECT_EQ(set.find("b")->data.size(), 2u);
  EXPECT_NE(open_error().find("is the download complete?"), std::string::npos) << open_error();
}

TEST_F(SafetensorsFolder, AFolderWithoutSafetensorsSaysSo) {
  EXPECT_NE(open_error().find("holds neither model.safetensors nor"), std::string::npos);
  EXPECT_NE(error_of([&] { SafetensorsSet::open_directory(folder_ / "absent"); }).find("is not a folder"),
            std::string::npos);
}

TEST_F(SafetensorsFolder, WeightsThatAreNoSafetensorsSayWhatToDoWithThem) {
  const auto advice = [&](const char* file) {
    write_text_file(folder_ / file, "x");
    const std::string error = open_error();
    std::filesystem::remove(folder_ / file);
    return error;
  };
  const auto expect = [&](const char* file, const char* part) {
    EXPECT_NE(advice(file).find(part), std::string::npos) << file << ": " << advice(file);
  };
  expect("pytorch_model.bin", "pytorch_model.bin is in PyTorch's own form");
  expect("q4.gguf", "q4.gguf is a GGUF file: give that file");
  expect("adapter_model.safetensors", "adapter_model.safetensors is of an adapter");
  expect("model-00001-of-00002.safetensors", "is one of several, and the others and their index are missing");
}

TEST_F(SafetensorsFolder, FilesByOtherNamesAreNamed) {
  const auto says = [&](const char* part) { return open_error().find(part) != std::string::npos; };
  EXPECT_TRUE(says("index.json; convert other formats to safetensors first")) << open_error();
  write_tensors("weights.safetensors", {{"a", DType::u8, {1}}});
  EXPECT_TRUE(says("if weights.safetensors has all tensors, name it model.safetensors")) << open_error();
  write_tensors("more.safetensors", {{"b", DType::u8, {1}}});
  EXPECT_TRUE(says("more.safetensors and 1 more are there, but not the index")) << open_error();
  write_tensors("consolidated.safetensors", {{"a", DType::u8, {1}}});
  EXPECT_TRUE(says("consolidated.safetensors has tensors by other names")) << open_error();
}

TEST_F(SafetensorsFolder, ALinkToNothingIsNamed) {
  std::filesystem::create_symlink("gone", folder_ / "model.safetensors");
  EXPECT_NE(open_error().find("model.safetensors: cannot be opened: No such file"), std::string::npos) << open_error();
}

TEST_F(SafetensorsFolder, AMissingShardIsNamed) {
  write_index({{"a", "one.safetensors"}});
  EXPECT_NE(open_error().find("one.safetensors that"), std::string::npos);
}

TEST_F(SafetensorsFolder, ATensorThatItsShardLacksIsNamed) {
  write_tensors("one.safetensors", {{"a", DType::u8, {1}}});
  write_tensors("two.safetensors", {{"b", DType::u8, {2}}});
  write_index({{"a", "one.safetensors"}, {"b", "two.safetensors"}, {"c", "two.safetensors"}});
  EXPECT_NE(open_error().find("tensor 'c' is not in two.safetensors"), std::string::npos);
  write_index({{"a", "two.safetensors"}, {"b", "one.safetensors"}});
  EXPECT_NE(open_error().find("tensor 'a' is not in two.safetensors"), std::string::npos);
}

TEST_F(SafetensorsFolder, ATensorInTwoShardsIsRefused) {
  write_tensors("one.safetensors", {{"a", DType::u8, {1}}});
  write_tensors("two.safetensors", {{"a", DType::u8, {1}}, {"b", DType::u8, {2}}});
  write_index({{"a", "one.safetensors"}, {"b", "two.safetensors"}});
  EXPECT_NE(open_error().find("'a' is in another shard too"), std::string::npos);
}

TEST_F(SafetensorsFolder, ABadIndexIsRefused) {
  for (const json& name : {json("../x.safetensors"), json("/etc/x.safetensors"), json("x.bin"), json(""), json(3)}) {
    write_index({{"a", name}});
    EXPECT_NE(open_error().find("the shard"), std::string::npos) << name;
  }
  write_index(json::object());
  EXPECT_NE(open_error().find("names no tensors"), std::string::npos);
  write_index(json::array());
  EXPECT_NE(open_error().find("'weight_map' is missing or no object"), std::string::npos);
  write_text_file(folder_ / "model.safetensors.index.json",
                  R"({"weight_map":{"a":"x.safetensors","a":"y.safetensors"}})");
  EXPECT_NE(open_error().find("'a' occurs twice"), std::string::npos);
}

}  // namespace safetensors_test
}  // namespace strata::format
