// Fuzzes tokenizers: any GGUF vocabulary is refused with an Error, or becomes a tokenizer.json that loads and works.
// The input is lines: model, pre, flags, then tokens (type, score, text) and merges.
#include <sstream>

#include "core/error.h"
#include "model/gguf/tokenizer.h"

namespace {

using namespace strata;

model::GgufVocabulary vocabulary_from(const std::string& input) {
  model::GgufVocabulary v;
  std::istringstream lines(input);
  std::string line;
  std::getline(lines, v.model);
  std::getline(lines, v.pre);
  std::getline(lines, line);
  const auto flag = [&](std::size_t i) { return i < line.size() ? line[i] : '-'; };
  const auto id = [&](std::size_t i, std::optional<std::uint32_t>& out) {
    if (flag(i) != '-') out = static_cast<std::uint32_t>(static_cast<unsigned char>(flag(i)) - '0');
  };
  const auto boolean = [&](std::size_t i, std::optional<bool>& out) {
    if (flag(i) != '-') out = flag(i) == '1';
  };
  id(0, v.bos_token_id), id(1, v.eos_token_id), id(2, v.unknown_token_id), id(3, v.padding_token_id);
  boolean(4, v.add_bos_token), boolean(5, v.add_eos_token), boolean(6, v.add_space_prefix);
  while (std::getline(lines, line) && v.tokens.size() < 300) {
    if (line.starts_with("merge ")) {
      v.merges.push_back(line.substr(6));
    } else if (line.size() >= 2) {
      v.token_type.push_back(line[0] - '0');
      v.scores.push_back(static_cast<float>(line[1] - 'a'));
      v.tokens.push_back(line.substr(2));
    }
  }
  if (flag(7) == '1') v.token_type.clear();
  if (v.model == "gpt2") v.scores.clear();
  return v;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const model::GgufVocabulary vocabulary = vocabulary_from(std::string(data, data + size));
  model::NamedTexts files;
  try {
    files = model::tokenizer_from_gguf(vocabulary, "fuzz");
  } catch (const Error&) {
    return 0;
  }
  // What was accepted loads, so an Error from here on is a bug and ends the run.
  const model::Tokenizer tokenizer = model::Tokenizer::from_files(files, "fuzz");
  const std::vector<std::uint32_t> ids = tokenizer.encode("ab abc <s> \xC3\xA9\n", model::AddSpecial::yes);
  for (const std::uint32_t token : ids) STRATA_CHECK(token < vocabulary.tokens.size(), "id {}", token);
  tokenizer.decode(ids, model::SkipSpecial::no);
  return 0;
}
