// Our reader reads what the GGUF writer writes: every kind of key, all alignments, tensors that come in odd pieces. A
// file that is not complete leaves nothing.
#include "format/gguf_write.h"

#include "support/file_bytes.h"

namespace strata::format {
namespace gguf_write_test {

GgufKeys all_kinds() {
  GgufKeys keys;
  keys.add("general.architecture", "llama");
  keys.add("u8", std::uint8_t{200});
  keys.add("i8", std::int8_t{-5});
  keys.add("u16", std::uint16_t{60000});
  keys.add("i16", std::int16_t{-7});
  keys.add("u32", std::uint32_t{4000000000});
  keys.add("i32", std::int32_t{-70000});
  keys.add("u64", std::uint64_t{UINT64_MAX});
  keys.add("i64", std::int64_t{INT64_MIN});
  keys.add("f32", 1.5f);
  keys.add("f64", 0.1);
  keys.add("bool", true);
  keys.add("a.texts", std::vector<std::string>{"x", "", "z z"});
  keys.add("a.i32", std::vector<std::int32_t>{-1, 2});
  keys.add("a.f32", std::vector<float>{0.5f});
  keys.add("a.bool", std::vector<bool>{true, false});
  return keys;
}

void write_counting(const std::filesystem::path& path, const GgufLayout& layout, std::size_t piece) {
  GgufWriter writer(path, layout);
  std::uint64_t total = 0;
  for (const GgufTensorSpec& tensor : layout.tensors) total += tensor.bytes();
  Bytes data(total);
  for (std::size_t i = 0; i < total; ++i) data[i] = static_cast<std::byte>(i);
  for (std::size_t at = 0; at < total; at += piece)
    writer.write(std::span(data).subspan(at, std::min<std::size_t>(piece, total - at)));
  writer.commit();
}

TEST(GgufWrite, TheReaderSeesEveryKeyAndTensor) {
  const TemporaryFolder folder;
  for (const std::uint32_t alignment : {32u, 64u, 8u})
    for (const std::size_t piece : {1u, 7u, 1000u}) {
      const GgufLayout layout =
          lay_out_gguf(all_kinds(), {{"w", 8, {3, 32}}, {"norm", 0, {2}}, {"k", 12, {2, 512}}}, alignment);
      write_counting(folder / "m.gguf", layout, piece);
      EXPECT_EQ(std::filesystem::file_size(folder / "m.gguf"), layout.file_bytes);
      const GgufFile file = GgufFile::open(folder / "m.gguf");
      EXPECT_EQ(file.metadata().size(), alignment == 32 ? 16u : 17u);
      EXPECT_EQ(file.integer("u64"), UINT64_MAX);
      EXPECT_EQ(std::get<std::int64_t>(file.metadata().at("i64")), INT64_MIN);
      EXPECT_EQ(std::get<std::int64_t>(file.metadata().at("i8")), -5);
      EXPECT_EQ(file.integer("u32"), 4000000000u);
      EXPECT_EQ(file.real("f32"), 1.5);
      EXPECT_EQ(file.real("f64"), 0.1);
      EXPECT_TRUE(file.boolean("bool"));
      EXPECT_EQ(file.texts("a.texts"), (std::vector<std::string>{"x", "", "z z"}));
      EXPECT_EQ(file.integers("a.i32"), (std::vector<std::int64_t>{-1, 2}));
      EXPECT_EQ(file.reals("a.f32"), std::vector<double>{0.5});
      ASSERT_EQ(file.tensors().size(), 3u);
      EXPECT_EQ(file.find("w")->shape, (std::vector<std::uint64_t>{3, 32}));
      EXPECT_EQ(file.find("k")->data.size(), 4u * 144);
      EXPECT_EQ(file.find("norm")->data[0], static_cast<std::byte>(3 * 34));
      EXPECT_EQ(file.find("k")->data[0], static_cast<std::byte>(3 * 34 + 8));
    }
}

TEST(GgufWrite, WhatWasReadIsWrittenInTheSameTypes) {
  const TemporaryFolder folder;
  write_counting(folder / "a.gguf", lay_out_gguf(all_kinds(), {{"t", 0, {1}}}), 100);
  const GgufFile first = GgufFile::open(folder / "a.gguf");
  GgufKeys keys;
  for (const auto& [key, value] : first.metadata()) keys.add_widened(key, value);
  write_counting(folder / "b.gguf", lay_out_gguf(keys, {{"t", 0, {1}}}), 100);
  EXPECT_EQ(GgufFile::open(folder / "b.gguf").metadata(), first.metadata());
}

/// Writes part `number` of `count` with one tensor of 32 bytes.
void write_part(const std::filesystem::path& path, std::uint16_t number, std::uint16_t count, const char* tensor,
                std::int32_t total) {
  GgufKeys keys = number == 0 ? all_kinds() : GgufKeys();
  keys.add("split.no", number);
  keys.add("split.count", count);
  keys.add("split.tensors.count", total);
  write_counting(path, lay_out_gguf(std::move(keys), {{tensor, 0, {8}}}), 100);
}

TEST(GgufWrite, TheFirstPartOpensTheWholeModel) {
  const TemporaryFolder folder;
  const auto part = [&](std::size_t i) { return folder / gguf_part_name("m", i, 3); };
  for (std::uint16_t i = 0; i < 3; ++i) write_part(part(i), i, 3, fmt::format("t{}", i).c_str(), 3);
  const GgufFile file = GgufFile::open(part(0));
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.find("t2")->data[1], static_cast<std::byte>(1));
  EXPECT_EQ(file.text("general.architecture"), "llama");
  const auto refusal = [&](std::size_t i) { return error_of([&] { GgufFile::open(part(i)); }); };
  EXPECT_NE(refusal(1).find("m-00001-of-00003.gguf"), std::string::npos);
  write_part(part(2), 2, 3, "t1", 3);
  EXPECT_NE(refusal(0).find("'t1' is in an earlier part too"), std::string::npos);
  write_part(part(2), 1, 3, "t2", 3);
  EXPECT_NE(refusal(0).find("mixed up"), std::string::npos);
  write_part(part(2), 2, 3, "t2", 3);
  write_part(part(0), 0, 3, "t0", 4);
  EXPECT_NE(refusal(0).find("4 tensors are announced"), std::string::npos);
  std::filesystem::remove(part(2));
  EXPECT_NE(refusal(0).find("m-00003-of-00003.gguf"), std::string::npos);
}

TEST(GgufWrite, TheFirstPartIsFoundByItsStem) {
  const TemporaryFolder folder;
  const auto found = [&] { return find_first_gguf_part(folder / "m"); };
  for (const char* other : {"m.gguf", "m-00002-of-00003.gguf", "mm-00001-of-00003.gguf", "m-00001-of-00003.txt"})
    write_text_file(folder / other, "");
  EXPECT_EQ(found(), std::nullopt);
  write_text_file(folder / "m-00001-of-00003.gguf", "");
  EXPECT_EQ(found(), folder / "m-00001-of-00003.gguf");
  EXPECT_EQ(find_first_gguf_part(folder / "none" / "m"), std::nullopt);
  EXPECT_EQ(gguf_parts(folder / "m"),
            (std::vector<std::filesystem::path>{folder / "m-00001-of-00003.gguf", folder / "m-00002-of-00003.gguf"}));
}

TEST(GgufWrite, AFileThatIsNotCompleteLeavesNothing) {
  const TemporaryFolder folder;
  const GgufLayout layout = lay_out_gguf({}, {{"t", 0, {64}}});
  {
    GgufWriter writer(folder / "m.gguf", layout);
    writer.write(Bytes(100));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(GgufWrite, EveryPrefixOfAWrittenFileIsRefused) {
  const TemporaryFolder folder;
  const GgufLayout layout = lay_out_gguf(all_kinds(), {{"w", 8, {3, 32}}});
  write_counting(folder / "m.gguf", layout, 50);
  const MappedFile file(folder / "m.gguf");
  const Bytes good(file.bytes().begin(), file.bytes().end());
  const Parse parse = [](std::span<const std::byte> bytes) { parse_gguf(bytes, "file"); };
  parse(good);
  expect_prefixes_refused(good, layout.header.size() + 102, parse);
  EXPECT_GT(count_refused_bit_flips(good, layout.header.size(), parse), layout.header.size());
}

}  // namespace gguf_write_test
}  // namespace strata::format
