// Texts and conversations in JSON are cut like a text, conversations by the chat template; the error about a bad line
// names it.
#include "model/json_text.h"

#include <gtest/gtest.h>

#include "core/file.h"
#include "support/error_of.h"

namespace strata::model {
namespace json_text_test {

/// One token a letter; '#' begins a turn.
Tokenizer letters() {
  json vocab;
  for (char c = 'a'; c <= 'z'; ++c) vocab[std::string(1, c)] = c - 'a';
  vocab["#"] = 26;
  vocab["\n"] = 27;
  return Tokenizer::from_json(
      json{{"version", "1.0"}, {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", json::array()}}}}.dump(),
      "letters");
}

class JsonText : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  TextPieces cut(std::string_view text, std::size_t length, std::size_t limit = 0) const {
    const ChatTemplate chat("{% for m in messages %}#{{ m.role }}#{{ m.content }}{% endfor %}", json::object(), "chat");
    return cut_json_text(letters(), &chat, written(text), length, limit);
  }
  std::filesystem::path written(std::string_view text) const {
    write_text_file(folder_ / "chat.jsonl", text);
    return folder_ / "chat.jsonl";
  }
  /// What the tokens of all pieces spell.
  std::string spelled(std::string_view text, const char* source) const {
    const ChatTemplate chat(source, json::object(), "chat");
    std::string result;
    for (const auto& piece : cut_json_text(letters(), &chat, written(text), 1, 0).pieces)
      result += letters().id_to_token(piece[0]).value();
    return result;
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

TEST_F(JsonText, ConversationsAreRenderedAndCutOneBehindAnother) {
  const TextPieces pieces = cut(kTwo, 5);  // #a#bc#d#e#f#ghi
  EXPECT_EQ(pieces.tokens, 15u);
  EXPECT_EQ(pieces.pieces,
            (std::vector<std::vector<std::uint32_t>>{{26, 0, 26, 1, 2}, {26, 3, 26, 4, 26}, {5, 26, 6, 7, 8}}));
  EXPECT_EQ(cut(kTwo, 4, 2).pieces.size(), 2u);
}

TEST_F(JsonText, ABadLineIsNamed) {
  const std::string good = "{\"messages\": [{\"role\": \"a\", \"content\": \"b\"}]}\n";
  for (const char* bad : {"{\"messages\": [", "[1]", "{\"prompt\": \"a\"}", "{\"text\": 1}", "1", "[[1]]",
                          "{\"messages\": []}", "{\"messages\": [1]}", "{\"messages\": [{\"content\": \"b\"}]}",
                          "{\"messages\": [{\"role\": \"b\"}]}", "\xFF\xFE"}) {
    const std::string message = refusal(good + bad + "\n");
    EXPECT_NE(message.find("chat.jsonl: line 2: "), std::string::npos) << bad << ": " << message;
  }
  EXPECT_NE(refusal("\n\n").find("no conversation"), std::string::npos);
  EXPECT_EQ(refusal("{\"prompt\": 1}"),
            (folder_ / "chat.jsonl").string() +
                ": line 1: is {\"prompt\":1}, expected {\"text\": \"...\"}, {\"messages\": [{\"role\": \"...\", "
                "\"content\": \"...\"}, ...]} or {\"conversations\": [{\"from\": \"...\", \"value\": \"...\"}, ...]}");
}

constexpr const char* kPlain = "{% for m in messages %}#{{ m.role }}#{{ m.content }}{% endfor %}";

TEST_F(JsonText, EveryFormOfTheSameConversationGivesTheSame) {
  const std::string messages = R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])";
  const std::string shared = R"([{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}])";
  for (const std::string& one :
       {R"({"messages": )" + messages + "}", R"({"conversations": )" + shared + "}", R"({"messages": )" + shared + "}",
        R"({"conversations": )" + messages + "}", messages}) {
    EXPECT_EQ(spelled(one, kPlain), "#user#a#assistant#b") << one;
    const std::string twice = "#user#a#assistant#b#user#a#assistant#b";
    EXPECT_EQ(spelled(one + "\n\n" + one + "\n", kPlain), twice) << one;
    EXPECT_EQ(spelled("\xEF\xBB\xBF [\n" + one + " ,\n " + one + "]\n", kPlain), twice) << one;
  }
  EXPECT_EQ(spelled(json::parse(R"({"messages": )" + messages + "}").dump(2), kPlain), "#user#a#assistant#b");
  EXPECT_EQ(
      spelled(R"({"conversations": [{"from": "system", "value": "c", "x": 1}, {"from": "observation", "value": "d"}]})",
              kPlain),
      "#system#c#tool#d");
}

TEST_F(JsonText, TextsHaveAnEmptyLineBetweenThem) {
  for (const char* texts : {R"({"text": "ab"}
{"text": " ", "id": 1}
{"text": "c"})",
                            R"([{"text": "ab"}, {"text": ""}, {"text": "c"}])", R"(["ab", "c"])"})
    EXPECT_EQ(spelled(texts, kPlain), "ab\n\nc\n\n") << texts;
  const std::string mixed = "{\"text\": \"ab\"}\n{\"messages\": [{\"role\": \"u\", \"content\": \"c\"}]}";
  EXPECT_EQ(spelled(mixed, kPlain), "ab\n\n#u#c");
  EXPECT_EQ(cut_json_text(letters(), nullptr, written("{\"text\": \"ab\"}"), 2, 0).tokens, 4u);
  EXPECT_NE(
      error_of([&] { cut_json_text(letters(), nullptr, written(mixed), 2, 0); }).find("line 2: is a conversation"),
      std::string::npos);
}

TEST_F(JsonText, PiecesOfATextBeginWithTheTokenThatBeginsTexts) {
  const NamedTexts files = {{"tokenizer.json", R"({"version": "1.0", "added_tokens": [], "pre_tokenizer": null,
      "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "#": 3, "\n": 4}, "merges": []}})"},
                            {"tokenizer_config.json", R"({"bos_token": "#", "add_bos_token": true})"}};
  const Tokenizer tokenizer = Tokenizer::from_files(files, "m");
  const ChatTemplate chat("ab", json::object(), "chat");
  const auto all = [&](const char* text) { return cut_json_text(tokenizer, &chat, written(text), 3, 0).pieces; };
  using Pieces = std::vector<std::vector<std::uint32_t>>;
  EXPECT_EQ(all(R"(["abcabc"])"), (Pieces{{3, 0, 1}, {3, 0, 1}, {3, 4, 4}}));
  EXPECT_EQ(all(R"([[{"role": "u", "content": ""}], "a"])"), (Pieces{{0, 1, 3}, {3, 4, 4}}));
}

TEST_F(JsonText, ToolCallsAndToolsReachTheTemplate) {
  // Without content, as OpenAI has it: null, or no such key.
  const char* source =
      "{% if tools %}#{{ tools[0].name }}{% endif %}{% for m in messages %}#{% if m.content is string %}{{ m.content }}"
      "{% elif m.content %}{{ m.content[0].text }}{% endif %}"
      "{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ c.function.arguments.x }}{% endfor %}{% endfor %}";
  const std::string call =
      R"("tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"x": "y"}}}])";
  const std::string rest = R"(, {"role": "tool", "content": [{"type": "text", "text": "p"}]}])";
  const auto line = [&](const std::string& content, const std::string& tools) {
    return R"({"messages": [{"role": "assistant", )" + content + call + "}" + rest + tools + "}";
  };
  EXPECT_EQ(spelled(line("", ""), source), "#fy#p");
  EXPECT_EQ(spelled(line("\"content\": null, ", ""), source), "#fy#p");
  EXPECT_EQ(spelled(line("", R"(, "tools": null)"), source), "#fy#p");
  EXPECT_EQ(spelled(line("", R"(, "tools": [{"name": "t"}])"), source), "#t#fy#p");
  EXPECT_EQ(spelled(line("", R"(, "tools": "[{\"name\": \"t\"}]")"), source), "#t#fy#p");
  EXPECT_NE(refusal(line("", R"(, "tools": {"name": "t"})")).find("line 1: 'tools' is {"), std::string::npos);
}

TEST_F(JsonText, IsKnownByHowAFileBegins) {
  for (const char* text : {"{\"text\": 1}", " \n[ {", "[[", "[\"a\"]", "\xEF\xBB\xBF{ \"a\"", "[ ]\n"})
    EXPECT_TRUE(is_json_text(written(text))) << text;
  for (const char* text :
       {"", "  ", "{", "[", "[link](to) text", "{ int x; }", "[1] A reference", "[] to do", "\"a\"", "Text {\"a\""})
    EXPECT_FALSE(is_json_text(written(text))) << text;
}

TEST_F(JsonText, FlippedBytesNeverCrash) {
  const std::string whole = std::string(kTwo) + "[{\"text\": \"a\"}, [{\"from\": \"b\", \"value\": \"c\\\"\"}]]";
  for (std::size_t i = 0; i < whole.size(); ++i)
    for (const int flip : {0x01, 0x02, 0x06, 0x20}) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      for (const std::string& text : {damaged, damaged.substr(0, i)}) refusal(text);
    }
}

}  // namespace json_text_test
}  // namespace strata::model
