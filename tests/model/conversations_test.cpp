// Conversations go through the chat template and are cut like a text; the error about a bad line names it.
#include "model/conversations.h"

#include <gtest/gtest.h>

#include "core/file.h"

namespace strata::model {
namespace {

/// One token a letter; '#' begins a turn.
Tokenizer letters() {
  json vocab;
  for (char c = 'a'; c <= 'z'; ++c) vocab[std::string(1, c)] = c - 'a';
  vocab["#"] = 26;
  return Tokenizer::from_json(
      json{{"version", "1.0"}, {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", json::array()}}}}.dump(),
      "letters");
}

class Conversations : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  TextPieces cut(std::string_view text, std::size_t length, std::size_t limit = 0) const {
    write_text_file(folder_ / "chat.jsonl", text);
    const ChatTemplate chat("{% for m in messages %}#{{ m.role }}#{{ m.content }}{% endfor %}", json::object(), "chat");
    return cut_conversations(letters(), chat, folder_ / "chat.jsonl", length, limit);
  }
  std::string refusal(std::string_view text) const {
    try {
      cut(text, 2);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }

  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) /
      fmt::format("chat_{}", testing::UnitTest::GetInstance()->current_test_info()->name());
};

constexpr const char* kTwo =
    "{\"messages\": [{\"role\": \"a\", \"content\": \"bc\"}, {\"role\": \"d\", \"content\": \"e\"}]}\n\n"
    "{\"messages\": [{\"role\": \"f\", \"content\": \"ghi\"}]}\n";

TEST_F(Conversations, AreRenderedAndCutOneBehindAnother) {
  const TextPieces pieces = cut(kTwo, 5);  // #a#bc#d#e#f#ghi
  EXPECT_EQ(pieces.tokens, 15u);
  EXPECT_EQ(pieces.pieces,
            (std::vector<std::vector<std::uint32_t>>{{26, 0, 26, 1, 2}, {26, 3, 26, 4, 26}, {5, 26, 6, 7, 8}}));
  EXPECT_EQ(cut(kTwo, 4, 2).pieces.size(), 2u);
}

TEST_F(Conversations, ABadLineIsNamed) {
  const std::string good = "{\"messages\": [{\"role\": \"a\", \"content\": \"b\"}]}\n";
  for (const char* bad :
       {"{\"messages\": [", "[1]", "{\"text\": \"a\"}", "{\"messages\": []}", "{\"messages\": [1]}",
        "{\"messages\": [{\"content\": \"b\"}]}", "{\"messages\": [{\"role\": \"b\"}]}", "\xFF\xFE"}) {
    const std::string message = refusal(good + bad + "\n");
    EXPECT_NE(message.find("chat.jsonl: line 2: "), std::string::npos) << bad << ": " << message;
  }
  EXPECT_NE(refusal("\n\n").find("no conversation"), std::string::npos);
}

}  // namespace
}  // namespace strata::model
