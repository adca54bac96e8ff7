// Tests what the GGUF reader accepts, and how it refuses each kind of damage.
// The worked example is from docs/formats/gguf.md.
#include "format/gguf.h"

#include "support/file_bytes.h"

namespace strata::format {
namespace gguf_test {

GgufContent parse(std::span<const std::byte> bytes) { return parse_gguf(bytes, "file"); }

enum ValueType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, array, u64, i64, f64 };

ByteWriter header(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
  ByteWriter out;
  out.raw("GGUF").number(version).number(tensors).number(keys);
  return out;
}

ByteWriter& key(ByteWriter& out, std::string_view name, std::uint32_t type) { return out.text(name).number(type); }

ByteWriter& tensor(ByteWriter& out, std::string_view name, const std::vector<std::uint64_t>& dims, std::uint32_t type,
                   std::uint64_t offset) {
  out.text(name).number(static_cast<std::uint32_t>(dims.size()));
  for (const std::uint64_t dim : dims) out.number(dim);
  return out.number(type).number(offset);
}

/// Pads to the alignment, then adds data.
Bytes finish(ByteWriter& out, std::size_t data_bytes, std::size_t alignment = 32) {
  out.zeros((alignment - out.bytes.size() % alignment) % alignment);
  for (std::size_t i = 0; i < data_bytes; ++i) out.number(static_cast<std::uint8_t>(i));
  return out.bytes;
}

/// All value types, two tensors: (3, 32) Q8_0 at 0 (102 bytes), (2) F32 at 128.
Bytes good_file(std::uint32_t version = 3, std::size_t* header_bytes = nullptr) {
  ByteWriter out = header(2, 16, version);
  key(out, "general.architecture", text).text("llama");
  key(out, "general.alignment", u32).number<std::uint32_t>(64);
  key(out, "n.u8", u8).number<std::uint8_t>(200);
  key(out, "n.i8", i8).number<std::int8_t>(-5);
  key(out, "n.u16", u16).number<std::uint16_t>(60000);
  key(out, "n.i16", i16).number<std::int16_t>(7);
  key(out, "n.i32", i32).number<std::int32_t>(-70000);
  key(out, "n.u64", u64).number<std::uint64_t>(UINT64_MAX);
  key(out, "n.i64", i64).number<std::int64_t>(INT64_MIN);
  key(out, "n.f32", f32).number(1.5f);
  key(out, "n.f64", f64).number(0.1);
  key(out, "n.bool", boolean).number<std::uint8_t>(1);
  key(out, "a.i32", array).number<std::uint32_t>(i32).number<std::uint64_t>(2).number(-1).number(2);
  key(out, "a.f32", array).number<std::uint32_t>(f32).number<std::uint64_t>(1).number(0.5f);
  key(out, "a.text", array).number<std::uint32_t>(text).number<std::uint64_t>(2).text("x").text("");
  key(out, "a.bool", array)
      .number<std::uint32_t>(boolean)
      .number<std::uint64_t>(2)
      .number<std::uint8_t>(0)
      .number<std::uint8_t>(1);
  tensor(out, "w", {32, 3}, 8, 0);
  tensor(out, "norm", {2}, 0, 128);
  if (header_bytes != nullptr) *header_bytes = out.bytes.size();
  return finish(out, 136, 64);
}

class GoodGguf : public testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override { write_bytes(folder_ / "m.gguf", good_file(GetParam())); }
  TemporaryFolder folder_;
};

TEST_P(GoodGguf, MetadataIsWidenedAndTyped) {
  const GgufFile file = GgufFile::open(folder_ / "m.gguf");
  EXPECT_EQ(file.text("general.architecture"), "llama");
  EXPECT_EQ(file.integer("n.u8"), 200u);
  EXPECT_EQ(file.integer("n.u16"), 60000u);
  EXPECT_EQ(file.integer("n.i16"), 7u);
  EXPECT_EQ(file.integer("n.u64"), UINT64_MAX);
  EXPECT_EQ(file.real("n.i8"), -5.0);
  EXPECT_EQ(file.real("n.i32"), -70000.0);
  EXPECT_EQ(file.real("n.f32"), 1.5);
  EXPECT_EQ(file.real("n.f64"), 0.1);
  EXPECT_TRUE(file.boolean("n.bool"));
  EXPECT_EQ(file.integers("a.i32"), (std::vector<std::int64_t>{-1, 2}));
  EXPECT_EQ(file.reals("a.i32"), (std::vector<double>{-1, 2}));
  EXPECT_EQ(file.reals("a.f32"), (std::vector<double>{0.5}));
  EXPECT_EQ(file.texts("a.text"), (std::vector<std::string>{"x", ""}));
  EXPECT_TRUE(file.has("n.i64"));
  EXPECT_FALSE(file.has("n"));
}

TEST_P(GoodGguf, AnotherKindOfValueIsAnErrorThatNamesTheKey) {
  const GgufFile file = GgufFile::open(folder_ / "m.gguf");
  EXPECT_NE(error_of([&] { file.integer("absent"); }).find("'absent' is missing"), std::string::npos);
  EXPECT_NE(error_of([&] { file.integer("n.i8"); }).find("'n.i8' is not a non-negative integer"), std::string::npos);
  EXPECT_THROW(file.integer("n.f32"), Error);
  EXPECT_THROW(file.real("n.bool"), Error);
  EXPECT_THROW(file.boolean("n.u8"), Error);
  EXPECT_THROW(file.text("n.u8"), Error);
  EXPECT_THROW(file.texts("a.i32"), Error);
  EXPECT_THROW(file.texts("general.architecture"), Error);
  EXPECT_THROW(file.integers("a.f32"), Error);
  EXPECT_THROW(file.reals("a.text"), Error);
  EXPECT_THROW(file.reals("n.f32"), Error);
}

TEST_P(GoodGguf, TensorsHaveTheOutermostExtentFirst) {
  const GgufFile file = GgufFile::open(folder_ / "m.gguf");
  ASSERT_EQ(file.tensors().size(), 2u);
  const GgufTensor* w = file.find("w");
  ASSERT_NE(w, nullptr);
  EXPECT_EQ(w->shape, (std::vector<std::uint64_t>{3, 32}));
  EXPECT_EQ(ggml_type_name(w->type), "Q8_0");
  ASSERT_EQ(w->data.size(), 102u);
  EXPECT_EQ(w->data[1], std::byte{1});
  const GgufTensor* norm = file.find("norm");
  ASSERT_NE(norm, nullptr);
  ASSERT_EQ(norm->data.size(), 8u);
  EXPECT_EQ(norm->data[0], std::byte{128});
  EXPECT_EQ(file.find("other"), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Versions, GoodGguf, testing::Values(2u, 3u));

TEST(Gguf, TheMagicIsRecognized) {
  const TemporaryFolder folder;
  write_bytes(folder / "m.gguf", good_file());
  write_text_file(folder / "short", "GGU");
  EXPECT_TRUE(is_gguf(folder / "m.gguf"));
  EXPECT_FALSE(is_gguf(folder / "short"));
  EXPECT_FALSE(is_gguf(folder / "absent"));
  EXPECT_FALSE(is_gguf(folder.path()));
}

TEST(Gguf, TheExampleOfTheFormatPage) {
  ByteWriter out = header(1, 1);
  key(out, "a", u8).number<std::uint8_t>(7);
  tensor(out, "t", {2}, 1, 0);
  const Bytes file = finish(out, 4);
  EXPECT_EQ(out.bytes.size(), 100u);  // 24 + 14 + 33 = 71, padded to 96, and two halves
  const GgufContent content = parse(file);
  EXPECT_EQ(std::get<std::uint64_t>(content.metadata.at("a")), 7u);
  EXPECT_EQ(content.tensors.at(0).data.data(), file.data() + 96);
}

TEST(Gguf, AFileWithoutTensorsMayEndAtItsHeader) {
  ByteWriter out = header(0, 1);
  key(out, "a", u8).number<std::uint8_t>(7);
  EXPECT_TRUE(parse(out.bytes).tensors.empty());
}

TEST(Gguf, UnknownTensorTypesAreListedAndRefusedWhenRead) {
  ByteWriter out = header(2, 0);
  tensor(out, "odd", {7}, 99, 0);
  tensor(out, "sized", {256}, 15, 0);
  const Bytes file = finish(out, 292);
  const GgufContent content = parse(file);
  EXPECT_TRUE(content.tensors[0].data.empty());
  EXPECT_EQ(content.tensors[1].data.size(), 292u);
  EXPECT_NE(error_of([] { ggml_row_bytes(99, 7, "f"); }).find("f: the tensor type type 99 cannot be read"),
            std::string::npos);
  EXPECT_NE(error_of([] { ggml_row_bytes(15, 256, "f"); }).find("Q8_K"), std::string::npos);
}

TEST(Gguf, APartOfASplitModelWithAnotherNameIsRefused) {
  const TemporaryFolder folder;
  ByteWriter out = header(0, 1);
  key(out, "split.count", u16).number<std::uint16_t>(3);
  write_bytes(folder / "m.gguf", finish(out, 0));
  EXPECT_NE(error_of([&] { GgufFile::open(folder / "m.gguf"); }).find("-00001-of-00003.gguf"), std::string::npos);
}

TEST(Gguf, AFileMayEndAfterItsHeaderWhereNoMoreIsRequired) {
  std::size_t header_bytes = 0;
  const Bytes whole = good_file(3, &header_bytes);
  const Bytes file(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(header_bytes));
  const GgufContent content = parse_gguf(file, "file", Required::header);
  ASSERT_EQ(content.tensors.size(), 2u);
  EXPECT_EQ(content.tensors[0].data.size(), 102u);
  EXPECT_FALSE(content.tensors[0].data.present());
  EXPECT_EQ(content.tensors[0].data.part(34, 34).size(), 34u);
  const std::string error = error_of([&] { content.tensors[0].data.data(); });
  EXPECT_EQ(error, error_of([&] { parse(file); }));
  EXPECT_NE(error.find("'w' needs 102 bytes"), std::string::npos) << error;
  expect_prefixes_refused(whole, header_bytes,
                          [](std::span<const std::byte> bytes) { parse_gguf(bytes, "file", Required::header); });
  const GgufContent all = parse_gguf(whole, "file", Required::header);
  EXPECT_TRUE(all.tensors[0].data.present() && all.tensors[1].data.present());
}

TEST(Gguf, NoTensorIsLargerThanAnyFileEvenWhereItIsAbsent) {
  ByteWriter out = header(1, 0);
  tensor(out, "t", {std::uint64_t{1} << 50}, 0, 0);
  EXPECT_NE(error_of([&] { parse_gguf(out.bytes, "file", Required::header); }).find("'t' needs"), std::string::npos);
}

TEST(Gguf, EveryPrefixOfTheHeaderAndDataIsRefused) {
  const Bytes file = good_file();
  expect_prefixes_refused(file, file.size(), parse);
}

TEST(Gguf, EveryBitFlipOfTheHeaderIsRefusedOrRead) {
  std::size_t header_bytes = 0;
  const Bytes file = good_file(3, &header_bytes);
  const std::size_t refused = count_refused_bit_flips(file, header_bytes, parse);
  EXPECT_GT(refused, 8 * header_bytes / 4);  // names and values carry no redundancy
  EXPECT_LT(refused, 8 * header_bytes);
}

struct BadFile {
  const char* why;
  Bytes bytes;
  const char* message;  ///< must be part of the error
};

Bytes with_value(std::uint32_t type, const ByteWriter& value, std::string_view name = "k") {
  ByteWriter out = header(0, 1);
  key(out, name, type);
  out.bytes.insert(out.bytes.end(), value.bytes.begin(), value.bytes.end());
  return finish(out, 0);
}

Bytes with_array(std::uint32_t type, std::uint64_t count) {
  return with_value(array, ByteWriter().number(type).number(count).zeros(64));
}

Bytes with_tensor(const std::vector<std::uint64_t>& dims, std::uint32_t type, std::uint64_t offset,
                  std::string_view name = "t") {
  ByteWriter out = header(1, 0);
  tensor(out, name, dims, type, offset);
  return finish(out, 64);
}

Bytes two_tensors(std::string_view first, std::string_view second, std::uint64_t second_offset) {
  ByteWriter out = header(2, 0);
  tensor(out, first, {12}, 0, 0);
  tensor(out, second, {4}, 0, second_offset);
  return finish(out, 96);
}

Bytes twice_the_key() {
  ByteWriter out = header(0, 2);
  key(out, "k", u8).number<std::uint8_t>(1);
  key(out, "k", u16).number<std::uint16_t>(1);
  return finish(out, 0);
}

ByteWriter value_of(std::uint32_t value) { return ByteWriter().number(value); }

class BadGguf : public testing::TestWithParam<BadFile> {};

TEST_P(BadGguf, IsRefusedByName) {
  const std::string message = error_of([&] { parse(GetParam().bytes); });
  EXPECT_TRUE(message.starts_with("file: ")) << message;
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Files, BadGguf,
    testing::Values(
        BadFile{"empty", {}, "the magic number at offset 0"},
        BadFile{"other magic", finish(ByteWriter().raw("GGML"), 64), "not a GGUF"},
        BadFile{"version 1", finish(ByteWriter().raw("GGUF").number(1), 64), "version 1"},
        BadFile{"version 4", finish(ByteWriter().raw("GGUF").number(4), 64), "version 4"},
        BadFile{"big endian", finish(ByteWriter().raw("GGUF").number(0x03000000), 64), "big-endian"},
        BadFile{"too many keys", header(0, 1ull << 60).bytes, "cannot fit"},
        BadFile{"too many tensors", header(UINT64_MAX, 0).bytes, "cannot fit"},
        BadFile{"key without name", with_value(u32, value_of(1), ""), "has 0 bytes"},
        BadFile{"long key", with_value(u32, value_of(1), std::string(65536, 'k')), "1 to 65535 are allowed"},
        BadFile{"key twice", twice_the_key(), "'k' occurs twice"},
        BadFile{"value type", with_value(13, value_of(1)), "unknown type 13"},
        BadFile{"truth value", with_value(boolean, value_of(2)), "truth value of 2"},
        BadFile{"long text", with_value(text, ByteWriter().number<std::uint64_t>(1000)), "needs 1000 bytes"},
        BadFile{"huge text", with_value(text, ByteWriter().number<std::uint64_t>(UINT64_MAX)),
                "needs 18446744073709551615 bytes"},
        BadFile{"array type", with_array(77, 1), "unknown type 77"},
        BadFile{"array of arrays", with_array(array, 1), "array of arrays"},
        BadFile{"long array of bytes", with_array(u8, 1000), "has 1000 items"},
        BadFile{"long array of numbers", with_array(u64, 60), "needs 480 bytes"},
        BadFile{"long array of texts", with_array(text, 60), "60 texts"},
        BadFile{"huge array", with_array(f64, UINT64_MAX / 8 + 2), "items"},
        BadFile{"alignment 0", with_value(u32, value_of(0), "general.alignment"), "power of two"},
        BadFile{"alignment 48", with_value(u32, value_of(48), "general.alignment"), "power of two"},
        BadFile{"alignment too large", with_value(u32, value_of(1u << 31), "general.alignment"), "power of two"},
        BadFile{"alignment no integer", with_value(f32, value_of(32), "general.alignment"), "power of two"},
        BadFile{"no dimensions", with_tensor({}, 0, 0), "0 dimensions"},
        BadFile{"five dimensions", with_tensor({1, 1, 1, 1, 1}, 0, 0), "5 dimensions"},
        BadFile{"shape overflow", with_tensor({1ull << 32, 1ull << 32}, 0, 0), "shape does not fit in 64 bits"},
        BadFile{"size overflow", with_tensor({1ull << 62}, 0, 0), "size does not fit in 64 bits"},
        BadFile{"block cut", with_tensor({33}, 8, 0), "33 columns are not a multiple of Q8_0's block of 32"},
        BadFile{"offset between", with_tensor({4}, 0, 16), "not a multiple of the alignment 32"},
        BadFile{"offset outside", with_tensor({4}, 0, 64), "needs 16 bytes at offset 64"},
        BadFile{"offset far outside", with_tensor({4}, 0, UINT64_MAX - 31), "needs 16 bytes at offset"},
        BadFile{"data outside", with_tensor({17}, 0, 0), "needs 68 bytes at offset 0"},
        BadFile{"tensor without name", with_tensor({4}, 0, 0, ""), "has 0 bytes"},
        BadFile{"long tensor name", with_tensor({4}, 0, 0, std::string(65, 't')), "1 to 64 are allowed"},
        BadFile{"tensor twice", two_tensors("t", "t", 64), "'t' occurs twice"},
        BadFile{"overlap", two_tensors("t", "s", 32), "'t' and 's' overlap"}),
    [](const auto& row) {
      std::string name = row.param.why;
      for (char& c : name)
        if (c == ' ') c = '_';
      return name;
    });

}  // namespace gguf_test
}  // namespace strata::format
