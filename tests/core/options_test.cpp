// Options are set from words and shown as JSON, and every wrong word is answered with the option's name and what was
// expected.
#include "core/options.h"

#include <gtest/gtest.h>

#include "core/file.h"
#include "support/error_of.h"
#include "support/set_options.h"
#include "support/temporary_folder.h"

namespace strata {
namespace options_test {

enum class Colour { red, blue };

struct Sample {
  bool on = true;
  std::size_t count = 3;
  std::optional<double> share;
  std::uint64_t size = 0;
  Colour colour = Colour::red;
  std::vector<std::string> words;
  std::vector<std::pair<std::string, std::string>> pairs;
  std::filesystem::path file;
  std::vector<std::vector<std::filesystem::path>> texts;
  std::size_t threads = 1;
};

void visit(Sample& s, OptionVisitor& v) {
  v.flag({.name = "--on"}, s.on);
  v.option({.name = "--count", .example = "4", .least = 1, .most = 10}, s.count);
  v.option({.name = "--share", .most = 1}, s.share);
  v.bytes({.name = "--size"}, s.size);
  v.choice({.name = "--colour"}, s.colour, {{"red", Colour::red}, {"blue", Colour::blue}});
  v.comma_list({.name = "--some-words"}, s.words, "all");
  v.pairs({.name = "--pair", .example = "a=b"}, s.pairs, "LEFT=RIGHT");
  v.file({.name = "--file"}, s.file);
  v.files({.name = "--text"}, s.texts);
  v.option({.name = "--threads", .effect = Effect::run}, s.threads);
}

Sample with(const std::string& name, OptionWords words) {
  Sample sample;
  SetOptions setter({{name, std::move(words)}});
  visit(sample, setter);
  return sample;
}

TEST(Options, WordsSetValuesOfEveryKind) {
  EXPECT_FALSE(with("--on", {{"false"}}).on);
  EXPECT_EQ(with("--count", {{"10"}}).count, 10u);
  EXPECT_EQ(with("--share", {{"0.25"}}).share, 0.25);
  EXPECT_EQ(with("--size", {{"2KiB"}}).size, 2048u);
  EXPECT_EQ(with("--colour", {{"blue"}}).colour, Colour::blue);
  EXPECT_EQ(with("--some-words", {{"a,,b"}}).words, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(with("--some-words", {{"all"}}).words.empty());
  const std::pair<std::string, std::string> pair("x=y", "z");
  EXPECT_EQ(with("--pair", {{"x=y=z"}}).pairs.front(), pair);
  EXPECT_EQ(with("--text", {{"a", "b"}, {"c"}}).texts.size(), 2u);
}

TEST(Options, AWrongWordIsAnsweredWithTheOptionAndWhatWasExpected) {
  const auto wrong = [](const char* name, OptionWords words) {
    return error_of([&] { with(name, std::move(words)); });
  };
  EXPECT_EQ(wrong("--count", {{"0"}}), "--count 0: expected a whole number from 1 to 10, such as 4");
  EXPECT_EQ(wrong("--count", {{"-1"}}), "--count -1: expected a whole number from 1 to 10, such as 4");
  EXPECT_EQ(wrong("--count", {{"3.5"}}), "--count 3.5: expected a whole number from 1 to 10, such as 4");
  EXPECT_EQ(wrong("--share", {{"nan"}}), "--share nan: expected a number from 0 to 1");
  EXPECT_EQ(wrong("--share", {{"1e999"}}), "--share 1e999: expected a number from 0 to 1");
  EXPECT_EQ(wrong("--colour", {{"green"}}), "--colour green: expected one of red, blue");
  EXPECT_EQ(wrong("--pair", {{"x"}}), "--pair 'x': expected LEFT=RIGHT, such as a=b");
  EXPECT_NE(wrong("--size", {{"lots"}}).find("--size"), std::string::npos);
  EXPECT_NE(wrong("--count", {{"1", "2"}}), "");
}

TEST(Options, TheRecordHoldsWhatIsNotAsByDefault) {
  EXPECT_EQ(record_of(Sample{}), json::object());
  EXPECT_EQ(record_of(with("--some-words", {{"a,b"}})), (json{{"some_words", {"a", "b"}}}));
  EXPECT_EQ(record_of(with("--on", {{"false"}})), (json{{"on", false}}));
}

TEST(Options, TheIdentityLeavesOutWhatOnlyChangesHowAJobRuns) {
  EXPECT_EQ(identity_of(Sample{}), identity_of(with("--threads", {{"8"}})));
  EXPECT_NE(identity_of(Sample{}), identity_of(with("--count", {{"8"}})));
  EXPECT_FALSE(identity_of(Sample{}).contains("--threads"));
}

TEST(Options, AFileIsWhatItHolds) {
  const TemporaryFolder folder;
  const auto write = [&](const char* name, const char* text) {
    write_text_file(folder.path() / name, text);
    return (folder.path() / name).string();
  };
  const std::string a = write("a", "one"), same = write("b", "one"), other = write("c", "two");
  EXPECT_EQ(identity_of(with("--file", {{a}})), identity_of(with("--file", {{same}})));
  EXPECT_NE(identity_of(with("--file", {{a}})), identity_of(with("--file", {{other}})));
  EXPECT_EQ(identity_of(with("--text", {{a}})), identity_of(with("--text", {{same}})));
  EXPECT_NE(identity_of(with("--text", {{a, other}})), identity_of(with("--text", {{a}, {other}})));
}

}  // namespace options_test
}  // namespace strata
