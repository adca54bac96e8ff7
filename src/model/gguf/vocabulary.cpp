// tokenizer.json -> tokenizer.ggml.*: byte-level BPE as "gpt2" with its merges, SentencePiece BPE as "llama" with
// scores. llama.cpp, gguf-py/gguf/vocab.py.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <map>
#include <span>
#include <utility>

#include "model/chat_template.h"
#include "model/gguf/export.h"
#include "model/gguf/merges.h"
#include "model/gguf/pre_tokenizers.h"
#include "model/gguf/tokenizer.h"

namespace strata::model {
namespace {

// The vocabulary is an object of a hundred thousand keys and more, which only the library's sorted type fills in time.
using Json = nlohmann::json;

/// The steps of a normalizer or pre-tokenizer: the members of a Sequence, or the only one.
std::vector<Json> steps_of(const Json& value, const char* list) {
  if (!value.is_object()) return {};
  if (value.value("type", "") != "Sequence") return {value};
  return value.value(list, std::vector<Json>{});
}

/// What cuts text into words, as expressions of pre_tokenizers.h; nothing when a step has no expression.
std::optional<std::vector<std::string>> expressions_of(const Json& pre_tokenizer) {
  std::vector<std::string> result;
  for (const Json& step : steps_of(pre_tokenizer, "pretokenizers")) {
    const std::string type = step.value("type", "");
    if (type == "ByteLevel") {
      if (step.value("use_regex", true)) result.emplace_back(kGpt2Words);
      if (step.value("add_prefix_space", false)) return std::nullopt;
    } else if (type == "Digits") {
      result.emplace_back(step.value("individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)");
    } else if (type == "Split") {
      const Json pattern = step.value("pattern", Json::object());
      if (!pattern.contains("Regex") || !pattern["Regex"].is_string()) return std::nullopt;
      result.push_back(pattern["Regex"]);
    } else {
      return std::nullopt;
    }
  }
  return result;
}

/// Whether a step is this one; its other members may say anything.
bool is_step(const Json& step, std::string_view type) { return step.value("type", "") == type; }

/// Whether a Replace or Split step looks for this text.
bool looks_for(const Json& step, const char* text) {
  const Json pattern = step.value("pattern", Json());
  return pattern.is_object() && pattern.value("String", Json()) == text;
}

/// What llama.cpp does by itself with a text for a SentencePiece vocabulary: spaces become U+2581, one may be put in
/// front, and words are not cut.
bool sentencepiece_does(const Json& step) {
  if (is_step(step, "Prepend")) return step.value("prepend", "") == kSpace;
  if (is_step(step, "Replace")) return looks_for(step, " ") && step.value("content", "") == kSpace;
  return is_step(step, "Metaspace") || (is_step(step, "Split") && looks_for(step, " "));
}

/// The texts of a merge, which a tokenizer.json writes as ["left", "right"] or "left right".
std::pair<std::string, std::string> pair_of(const Json& merge) {
  if (!merge.is_string()) return {merge.at(0).get<std::string>(), merge.at(1).get<std::string>()};
  const std::string text = merge.get<std::string>();
  const std::size_t space = text.find(' ', 1);
  if (space == std::string::npos) return {text, ""};
  return {text.substr(0, space), text.substr(space + 1)};
}

class Vocabulary {
 public:
  Vocabulary(const NamedTexts& files, std::size_t size, const std::string& where)
      : files_(files), size_(size), where_(where), tokenizer_(Tokenizer::from_files(files, where)) {
    root_ = Json::parse(*find_text(files, "tokenizer.json"));
    const Json model = root_.value("model", Json::object());
    if (model.value("type", "BPE") != "BPE" || !model.contains("vocab") || !model.contains("merges"))
      fail("{}: the tokenizer is of the kind {}; GGUF files are made from BPE tokenizers", where,
           model.value("type", "unknown"));
    for (const Json& step : steps_of(root_.value("pre_tokenizer", Json()), "pretokenizers"))
      byte_level_ = byte_level_ || is_step(step, "ByteLevel");
    check_steps();
    read_tokens();
  }

  void add_to(format::GgufKeys& keys) const;

 private:
  void check_steps() const;
  void read_tokens();
  const PreTokenizer* find_row(std::span<const std::string> expressions, bool nfc) const;
  std::string pre_name() const;
  std::vector<std::string> merges() const;
  std::vector<float> scores() const;
  bool space_prefix() const;
  void add_ends(format::GgufKeys& keys) const;
  void add_chat_templates(format::GgufKeys& keys) const;

  const NamedTexts& files_;
  std::size_t size_;
  const std::string& where_;
  Tokenizer tokenizer_;
  Json root_;
  bool byte_level_ = false;
  std::vector<std::string> tokens_;
  std::vector<std::int32_t> types_;
};

/// Throws Error for a step that llama.cpp does not do, and no key of a GGUF file asks for.
void Vocabulary::check_steps() const {
  const auto refuse = [&](const Json& step, const char* part) {
    fail(
        "{}: the {} of tokenizer.json has the step {}, which llama.cpp does not do with {} vocabularies, so that it "
        "would give other ids; write a folder (an --output whose name does not end in .gguf), or remove the step if "
        "the "
        "model does not need it",
        where_, part, step.value("type", "of no type"), byte_level_ ? "byte-level" : "SentencePiece");
  };
  for (const Json& step : steps_of(root_.value("normalizer", Json()), "normalizers"))
    if (byte_level_ ? !is_step(step, "NFC") : !sentencepiece_does(step)) refuse(step, "normalizer");
  // How byte-level vocabularies cut text into words is a matter of pre_name().
  for (const Json& step : steps_of(root_.value("pre_tokenizer", Json()), "pretokenizers"))
    if (!byte_level_ && !sentencepiece_does(step)) refuse(step, "pre_tokenizer");
}

void Vocabulary::read_tokens() {
  tokens_.resize(size_);
  types_.assign(size_, static_cast<std::int32_t>(GgufTokenType::unused));
  const auto put = [&](std::uint64_t id, const std::string& text, GgufTokenType type) {
    if (id >= size_) fail("{}: the token '{}' has the id {}, but the model has {} tokens", where_, text, id, size_);
    tokens_[id] = text;
    types_[id] = static_cast<std::int32_t>(type);
  };
  const Json& model = root_["model"];
  for (const auto& [text, id] : model["vocab"].items()) {
    const bool is_byte = !byte_level_ && text.size() == 6 && text.starts_with("<0x") && text.ends_with('>');
    put(id.get<std::uint64_t>(), text, is_byte ? GgufTokenType::byte : GgufTokenType::normal);
  }
  // An added token behind the last row of the embedding cannot be fed to the model, so it is left out.
  for (const AddedToken& token : tokenizer_.added_tokens())
    if (token.id < size_)
      put(token.id, token.content, token.special ? GgufTokenType::control : GgufTokenType::user_defined);
  if (!byte_level_ && model.contains("unk_token") && model["unk_token"].is_string())
    if (const auto id = tokenizer_.token_to_id(model["unk_token"].get<std::string>()))
      put(*id, model["unk_token"], GgufTokenType::unknown);
  for (std::size_t id = 0; id < size_; ++id)
    if (types_[id] == static_cast<std::int32_t>(GgufTokenType::unused)) tokens_[id] = fmt::format("[PAD{}]", id);
}

/// The row of how words are cut. One that differs in ignore_merges alone gives the same ids when the merges make every
/// token.
const PreTokenizer* Vocabulary::find_row(std::span<const std::string> expressions, bool nfc) const {
  const bool ignore_merges = root_["model"].value("ignore_merges", false);
  if (const PreTokenizer* row = find_pre_tokenizer(expressions, nfc, ignore_merges)) return row;
  const PreTokenizer* other = find_pre_tokenizer(expressions, nfc, !ignore_merges);
  if (other == nullptr) return nullptr;
  std::vector<std::pair<std::string, std::string>> texts;
  for (const Json& merge : root_["model"]["merges"]) texts.push_back(pair_of(merge));
  const std::vector<TokenPair> merges(texts.begin(), texts.end());
  std::vector<std::string_view> tokens;
  for (std::size_t id = 0; id < size_; ++id)
    if (types_[id] == static_cast<std::int32_t>(GgufTokenType::normal)) tokens.push_back(tokens_[id]);
  return merges_make_all(merges, tokens) ? other : nullptr;
}

std::string Vocabulary::pre_name() const {
  const auto wanted = expressions_of(root_.value("pre_tokenizer", Json()));
  const bool nfc = !steps_of(root_.value("normalizer", Json()), "normalizers").empty();
  const PreTokenizer* row = wanted ? find_row(*wanted, nfc) : nullptr;
  if (row == nullptr)
    fail("{}: llama.cpp has no name for the way that this tokenizer.json cuts text into words{}; known are {}", where_,
         nfc ? " after the normalizer NFC" : "", known_pre_tokenizers());
  return std::string(row->name);
}

/// The merges as GGUF has them, "left right". A space inside a piece becomes U+0120.
std::vector<std::string> Vocabulary::merges() const {
  std::vector<std::string> result;
  const auto spaced = [](std::string piece) {
    for (std::size_t at = piece.find(' '); at != std::string::npos; at = piece.find(' ', at)) piece.replace(at, 1, "Ġ");
    return piece;
  };
  for (const Json& merge : root_["model"]["merges"])
    result.push_back(merge.is_string() ? merge.get<std::string>()
                                       : spaced(pair_of(merge).first) + " " + spaced(pair_of(merge).second));
  return result;
}

/// The scores of pieces, of which the highest is merged first: minus the place of the first merge that makes the piece.
/// Scores of pieces that no merge makes are never compared.
std::vector<float> Vocabulary::scores() const {
  std::map<std::string, std::size_t> rank;
  std::size_t place = 0;
  for (const Json& merge : root_["model"]["merges"]) {
    const auto [left, right] = pair_of(merge);
    rank.emplace(left + right, place++);
  }
  std::vector<float> result(size_, 0.0f);
  for (std::size_t id = 0; id < size_; ++id) {
    const auto it = rank.find(tokens_[id]);
    const bool ordinary = types_[id] == static_cast<std::int32_t>(GgufTokenType::normal);
    if (ordinary || (it != rank.end() && types_[id] == static_cast<std::int32_t>(GgufTokenType::user_defined)))
      result[id] = -static_cast<float>(it == rank.end() ? place : it->second);
  }
  return result;
}

/// Whether a space is put in front of a text: by a Prepend normalizer or a Metaspace pre-tokenizer.
bool Vocabulary::space_prefix() const {
  for (const Json& step : steps_of(root_.value("normalizer", Json()), "normalizers"))
    if (step.value("type", "") == "Prepend" && step.value("prepend", "") == kSpace) return true;
  for (const Json& step : steps_of(root_.value("pre_tokenizer", Json()), "pretokenizers"))
    if (step.value("type", "") == "Metaspace")
      return step.value("prepend_scheme", step.value("add_prefix_space", true) ? "always" : "never") != "never";
  return false;
}

void Vocabulary::add_ends(format::GgufKeys& keys) const {
  const json special = special_tokens(files_, where_);
  constexpr std::array<std::pair<const char*, const char*>, 4> kEnds{
      {{"bos_token", "bos"}, {"eos_token", "eos"}, {"unk_token", "unknown"}, {"pad_token", "padding"}}};
  for (const auto& [key, name] : kEnds) {
    std::optional<std::uint32_t> id;
    if (std::string_view(name) == "bos")
      id = tokenizer_.bos();
    else if (std::string_view(name) == "eos")
      id = tokenizer_.eos().empty() ? std::nullopt : std::optional(tokenizer_.eos().front());
    else if (special.contains(key))
      id = tokenizer_.token_to_id(special[key].get<std::string>());
    if (id && *id < size_) keys.add(fmt::format("tokenizer.ggml.{}_token_id", name), *id);
  }
  const auto plain = tokenizer_.encode("a"), ends = tokenizer_.encode("a", AddSpecial::yes);
  const bool bos = !ends.empty() && (plain.empty() || ends.front() != plain.front());
  const bool eos = !ends.empty() && (plain.empty() || ends.back() != plain.back());
  keys.add("tokenizer.ggml.add_bos_token", bos);
  keys.add("tokenizer.ggml.add_eos_token", eos);
}

void Vocabulary::add_chat_templates(format::GgufKeys& keys) const {
  std::vector<std::string> names;
  for (const auto& [name, source] : chat_templates(files_, where_)) {
    if (name == kDefaultTemplate) continue;
    constexpr std::size_t longest = 64;
    const bool plain = std::ranges::all_of(
        name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-'; });
    if (name.empty() || name.size() > longest || !plain)
      fail(
          "{}: the name of the chat template '{}' cannot be part of a key of a GGUF file; rename the template to at "
          "most "
          "{} letters, digits and underscores",
          where_, name, longest);
    keys.add("tokenizer.chat_template." + name, source);
    names.push_back(name);
  }
  if (!names.empty()) keys.add("tokenizer.chat_templates", names);
  if (const auto chat = ChatTemplate::from_files(files_, where_)) keys.add("tokenizer.chat_template", chat->source());
}

void Vocabulary::add_to(format::GgufKeys& keys) const {
  keys.add("tokenizer.ggml.model", byte_level_ ? "gpt2" : "llama");
  keys.add("tokenizer.ggml.pre", byte_level_ ? pre_name() : "default");
  keys.add("tokenizer.ggml.tokens", tokens_);
  if (!byte_level_) keys.add("tokenizer.ggml.scores", scores());
  keys.add("tokenizer.ggml.token_type", types_);
  if (byte_level_) keys.add("tokenizer.ggml.merges", merges());
  add_ends(keys);
  if (!byte_level_) keys.add("tokenizer.ggml.add_space_prefix", space_prefix());
  add_chat_templates(keys);
}

}  // namespace

void add_vocabulary(format::GgufKeys& keys, const NamedTexts& files, std::size_t size, const std::string& where) {
  try {
    Vocabulary(files, size, where).add_to(keys);
  } catch (const Json::exception& e) {
    fail("{}: tokenizer.json is not as the library writes it: {}", where, e.what());
  }
}

}  // namespace strata::model
