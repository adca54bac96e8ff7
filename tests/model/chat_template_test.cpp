// Compares chat templates with transformers' apply_chat_template: whole templates on conversations, and expressions.
// Goldens: tests/golden/make_tokenizer_goldens.py; templates: tests/golden/chat_templates/.
#include "model/chat_template.h"

#include <gtest/gtest.h>

#include <ctime>

#include "core/file.h"
#include "support/error_of.h"

// A namespace stored in itself is a cycle of counted references inside minijinja; a hostile template can leak that
// much. The address sanitizer's library looks the function up, so it is visible to it; without the sanitizer nothing
// does.
extern "C" [[gnu::visibility("default")]] const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:minijinja::functions::builtins::namespace\n"; }

namespace strata::model {
namespace {

const std::filesystem::path kGolden = STRATA_TEST_DATA "/golden";

std::string render(const std::string& source, const json& variables = json::object()) {
  return ChatTemplate(source, json::object(), "model").render(json::array(), GenerationPrompt::no, variables);
}

std::string error_of(const std::string& source, const json& variables = json::object()) {
  return ::strata::error_of([&] { EXPECT_EQ(render(source, variables), "an error"); });
}

TEST(ChatTemplate, PromptsEqualTransformers) {
  const json golden = read_json_file(kGolden / "chat_templates.json");
  std::size_t prompts = 0, refused = 0;
  for (const json& test : golden["cases"]) {
    const std::string name = fmt::format("{} {} {}", test["template"].get<std::string>(),
                                         test["chat"].get<std::string>(), test["setting"].get<int>());
    const json& setting = golden["settings"][test["setting"].get<std::size_t>()];
    json variables = setting["variables"];
    variables["tools"] = setting["tools"];
    const ChatTemplate chat(read_text_file(kGolden / "chat_templates" / test["template"].get<std::string>()),
                            golden["special_tokens"], "model");
    const auto prompt = setting["add_generation_prompt"].get<bool>() ? GenerationPrompt::yes : GenerationPrompt::no;
    const json& messages = golden["chats"][test["chat"].get<std::string>()];
    if (test.contains("prompt")) {
      ++prompts;
      EXPECT_EQ(chat.render(messages, prompt, variables), test["prompt"].get<std::string>()) << name;
    } else {
      ++refused;
      EXPECT_THROW(chat.render(messages, prompt, variables), Error) << name;
    }
  }
  EXPECT_GE(prompts, 150u);
  EXPECT_GE(refused, 20u);
}

TEST(ChatTemplate, ExpressionsEqualJinja2) {
  const json golden = read_json_file(kGolden / "template_snippets.json");
  std::size_t results = 0;
  for (const json& test : golden["cases"]) {
    const auto source = test["source"].get<std::string>();
    if (test.contains("error")) {
      EXPECT_PRED_FORMAT2(testing::IsSubstring, "model: chat template: line ", error_of(source, golden["context"]))
          << source;
      continue;
    }
    ++results;
    try {
      EXPECT_EQ(render(source, golden["context"]), test["result"].get<std::string>()) << source;
    } catch (const Error& error) {
      ADD_FAILURE() << source << ": " << error.what();
    }
  }
  EXPECT_GE(results, 70u);
}

TEST(ChatTemplate, MessagesAsStructs) {
  const ChatTemplate chat(
      "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
      "{% if add_generation_prompt %}[assistant]{% endif %}",
      json{{"bos_token", "<s>"}}, "model");
  const std::vector<ChatMessage> messages = {{"system", "brief"}, {"user", "hi"}};
  EXPECT_EQ(chat.render(messages, GenerationPrompt::yes), "<s>[system]brief[user]hi[assistant]");
  EXPECT_EQ(chat.render(messages, GenerationPrompt::no), "<s>[system]brief[user]hi");
}

TEST(ChatTemplate, IsFoundWhereTransformersLooks) {
  const auto source = [](const NamedTexts& files) { return ChatTemplate::from_files(files, "dir")->source(); };
  EXPECT_FALSE(ChatTemplate::from_files({}, "dir"));
  EXPECT_FALSE(ChatTemplate::from_files({{"tokenizer_config.json", "{}"}}, "dir"));
  const NamedTexts text = {{"tokenizer_config.json", R"({"chat_template": "A"})"}};
  EXPECT_EQ(source(text), "A");
  NamedTexts with_file = text;
  with_file.emplace_back("chat_template.jinja", "B");
  EXPECT_EQ(source(with_file), "B");
}

TEST(ChatTemplate, AListHasADefaultAndOneForTools) {
  const NamedTexts files = {
      {"tokenizer_config.json",
       R"({"chat_template": [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T{{ tools|length }}"}]})"}};
  const ChatTemplate chat = *ChatTemplate::from_files(files, "dir");
  EXPECT_EQ(chat.render(json::array(), GenerationPrompt::no), "D");
  EXPECT_EQ(chat.render(json::array(), GenerationPrompt::no, {{"tools", {1, 2}}}), "T2");
  const NamedTexts no_default = {{"tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "R"}]})"}};
  EXPECT_THROW(ChatTemplate::from_files(no_default, "dir"), Error);
  const NamedTexts number = {{"tokenizer_config.json", R"({"chat_template": 7})"}};
  EXPECT_THROW(ChatTemplate::from_files(number, "dir"), Error);
}

TEST(ChatTemplate, FilesOfNamedTemplatesReplaceThoseOfTheConfig) {
  const auto with_tools = [](const ChatTemplate& chat) {
    return chat.render(json::array(), GenerationPrompt::no, {{"tools", json::array()}});
  };
  const std::pair<std::string, std::string> config = {
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "default", "template": "C"}, {"name": "tool_use", "template": "U"}]})"};
  const std::pair<std::string, std::string> file = {"chat_template.jinja", "D"},
                                            tools = {"additional_chat_templates/tool_use.jinja", "T"},
                                            other = {"additional_chat_templates/rag.jinja", "R"};
  EXPECT_EQ(with_tools(*ChatTemplate::from_files({config}, "dir")), "U");
  EXPECT_EQ(with_tools(*ChatTemplate::from_files({config, file}, "dir")), "D");
  const ChatTemplate both = *ChatTemplate::from_files({config, other, file, tools}, "dir");
  EXPECT_EQ(both.source(), "D");
  EXPECT_EQ(with_tools(both), "T");
  EXPECT_EQ(both.render(json::array(), GenerationPrompt::no, {{"tools", nullptr}}), "D");
  EXPECT_EQ(ChatTemplate::from_files({config, tools}, "dir")->source(), "C");
  EXPECT_THROW(ChatTemplate::from_files({other}, "dir"), Error);
}

TEST(ChatTemplate, StrftimeNowIsLocalTime) {
  const auto today = [] {
    const std::time_t now = std::time(nullptr);
    char text[64];
    return std::string(text, std::strftime(text, sizeof text, "%d %b %Y", std::localtime(&now)));
  };
  const std::string before = today(), rendered = render("{{ strftime_now('%d %b %Y') }}"), after = today();
  EXPECT_TRUE(rendered == before || rendered == after) << rendered;
}

TEST(ChatTemplate, ErrorsNameTheLine) {
  EXPECT_EQ(error_of("a\nb\n{% if %}"), "model: chat template: line 3: syntax error: unexpected end of block");
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "line ", error_of("{% for x in messages %}\n\n"));
  EXPECT_EQ(error_of("\n\n\n{{ raise_exception('Roles must alternate') }}"),
            "model: chat template: line 4: Roles must alternate");
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "line 2", error_of("x\n{{ nothing.at.all }}"));
}

TEST(ChatTemplate, HostileTemplatesAreStopped) {
  const auto refused = [](const char* part, const std::string& source) {
    EXPECT_PRED_FORMAT2(testing::IsSubstring, part, error_of(source)) << source.substr(0, 100);
  };
  refused("does not come to an end",
          "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}");
  refused("recursion", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
  refused("does not come to an end", "{{ 'x' * 1000000000000 }}");
  refused("recursion", "{{ " + std::string(20000, '('));
  refused("syntax error", "{{ " + std::string(200000, '-'));
  refused("bytes long, more than", std::string(300000, ' '));
  refused("nested deeper", "{% set n = namespace() %}{% set n.n = n %}{{ n|tojson }}");
  refused("not valid UTF-8", "{{ messages\xFF }}");
}

TEST(ChatTemplate, TextThatIsNoUtf8IsRefused) {
  const ChatTemplate chat("{{ messages[0].content }}", json::object(), "model");
  EXPECT_THROW(chat.render(std::vector<ChatMessage>{{"user", "\xC3("}}, GenerationPrompt::no), Error);
}

}  // namespace
}  // namespace strata::model
