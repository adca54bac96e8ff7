// Runs only after something went wrong, so that the tokenizer may be read again.
// A token is searched in the files as JSON writes it, the file that declares most tokens first.
#include "model/token_rows.h"

#include <optional>

#include "model/tokenizer.h"

namespace strata::model {
namespace {

/// The file of the tokenizer that has the text in it; empty when none has.
std::string file_with(const NamedTexts& files, const std::string& text) {
  const std::string quoted = json_text(json(text));
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"})
    if (const std::string* content = find_text(files, name);
        content != nullptr && content->find(quoted) != std::string::npos)
      return name;
  return {};
}

}  // namespace

void fail_without_row(const Model& model, std::uint32_t token) {
  std::optional<std::string> text;
  std::string file;
  try {
    text = Tokenizer::of(model).id_to_token(token);
    if (text) file = file_with(tokenizer_files(model), *text);
  } catch (const Error&) {  // a model without a tokenizer: the id is all that is known
  }
  const std::string rows = fmt::format("the embedding has {} rows", model.architecture().vocab);
  if (!text)
    fail("{}: the token {} is in the text, but {}; the ids are of another model's tokenizer", model.path().string(),
         token, rows);
  fail(
      "{}: the token '{}' is in the text and has the id {}, but {}; {} lists a token that the model has not learned: "
      "leave it out of the text, or give the model its own tokenizer",
      model.path().string(), *text, token, rows, file.empty() ? "its tokenizer" : file);
}

}  // namespace strata::model
