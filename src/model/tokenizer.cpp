// Calls of the tokenizer crate, and the rules by which transformers finds a model's special tokens
// (transformers/tokenization_utils_base.py and tokenization_utils_tokenizers.py).
#include "model/tokenizer.h"

#include <algorithm>
#include <array>

#include "core/file.h"
#include "model/added_tokens.h"
#include "model/crate_text.h"
#include "model/model.h"
#include "model/sources.h"
#include "strata_tokenizer.h"

namespace strata::model {
namespace fs = std::filesystem;
namespace {

constexpr std::array<const char*, 7> kFiles = {
    "tokenizer.json",      "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "chat_template.jinja", "config.json",           "generation_config.json"};
constexpr const char* kTemplateFolder = "additional_chat_templates";

/// The text of a special token: files hold "</s>", older ones {"content": "</s>", ...}.
std::optional<std::string> token_text(const json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end()) return std::nullopt;
  if (it->is_string()) return it->get<std::string>();
  if (it->is_object() && it->contains("content") && (*it)["content"].is_string())
    return (*it)["content"].get<std::string>();
  return std::nullopt;
}

/// The ids of a key that holds one id or a list of ids. A key that is absent or holds anything else has none, since
/// transformers, too, finds fault with it only when it is used. Files say "none" by null, -1, and -1 as an unsigned
/// number; an id that the model has no row for (from its "vocab_size" on) is none either.
std::vector<std::uint32_t> id_list(const json& config, const char* key) {
  std::uint64_t end = INT32_MAX;
  if (const auto size = config.find("vocab_size"); size != config.end() && size->is_number_unsigned())
    end = std::min(end, size->get<std::uint64_t>());
  std::vector<std::uint32_t> ids;
  const auto add = [&](const json& value) {
    if (value.is_number_unsigned() && value.get<std::uint64_t>() < end) ids.push_back(value.get<std::uint32_t>());
  };
  const auto it = config.find(key);
  if (it == config.end()) return ids;
  if (it->is_array())
    for (const json& value : *it) add(value);
  else
    add(*it);
  return ids;
}

void append_new(std::vector<std::uint32_t>& ids, const std::vector<std::uint32_t>& more) {
  for (const std::uint32_t id : more)
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

}  // namespace

NamedTexts read_tokenizer_files(const fs::path& directory) {
  NamedTexts files;
  for (const char* name : kFiles) {
    std::error_code code;
    if (fs::exists(directory / name, code)) files.emplace_back(name, read_text_file(directory / name));
  }
  std::error_code code;
  std::vector<fs::path> templates;
  for (fs::directory_iterator it(directory / kTemplateFolder, code), end; !code && it != end; it.increment(code))
    if (it->path().extension() == ".jinja") templates.push_back(it->path());
  std::ranges::sort(templates);
  for (const fs::path& path : templates)
    files.emplace_back(kTemplateFolder + ("/" + path.filename().string()), read_text_file(path));
  return files;
}

NamedTexts tokenizer_files(const Model& model) {
  if (!model.from_gguf()) return read_tokenizer_files(model.path());
  NamedTexts files = gguf_companion_files(model.path());
  files.emplace_back("config.json", model.config().dump());
  return files;
}

const std::string* find_text(const NamedTexts& files, std::string_view name) {
  for (const auto& [file, text] : files)
    if (file == name) return &text;
  return nullptr;
}

json parse_named(const NamedTexts& files, const char* name, const std::string& where) {
  const std::string* text = find_text(files, name);
  if (text == nullptr) return json::object();
  const std::string path = fmt::format("{}: {}", where, name);
  json value = parse_json(*text, path);
  if (!value.is_object()) fail("{}: not a JSON object", path);
  return value;
}

json special_tokens(const NamedTexts& files, const std::string& where) {
  const json config = parse_named(files, "tokenizer_config.json", where);
  const json map = parse_named(files, "special_tokens_map.json", where);
  json tokens = json::object();
  for (const char* key : kSpecialNames) {
    std::optional<std::string> text = token_text(config, key);
    if (!text) text = token_text(map, key);
    if (text) tokens[key] = *text;
  }
  return tokens;
}

void Tokenizer::Release::operator()(strata_tokenizer* tokenizer) const { strata_tokenizer_free(tokenizer); }

Tokenizer Tokenizer::from_json(std::string_view tokenizer_json, std::string where) {
  Tokenizer result(std::move(where));
  strata_tokenizer* library = nullptr;
  CrateText error;
  if (strata_tokenizer_create(tokenizer_json.data(), tokenizer_json.size(), &library, error.out()) != STRATA_OK)
    fail("{}: not a tokenizer.json that can be used: {}; download the file again", result.where_, error.view());
  result.library_.reset(library);
  return result;
}

Tokenizer Tokenizer::from_files(const NamedTexts& files, std::string where) {
  const std::string* text = find_text(files, "tokenizer.json");
  if (text == nullptr)
    fail(
        "{}: has no tokenizer.json; download it from the model's page, or make it with transformers: "
        "AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER)",
        where);
  Tokenizer result = from_json(*text, where + "/tokenizer.json");
  result.where_ = std::move(where);
  result.read_special(files);
  return result;
}

Tokenizer Tokenizer::of(const Model& model) { return from_files(tokenizer_files(model), model.path().string()); }

Tokenizer Tokenizer::from_directory(const fs::path& directory) {
  return from_files(read_tokenizer_files(directory), directory.string());
}

void Tokenizer::read_special(const NamedTexts& files) {
  const json config = parse_named(files, "config.json", where_);
  const DeclaredTokens declared = declared_tokens(files, where_);
  add_tokens(declared.listed, declared.listed_replace);
  const json tokens = special_tokens(files, where_);
  const auto id_of = [&](const char* key) -> std::optional<std::uint32_t> {
    return tokens.contains(key) ? token_to_id(tokens[key].get<std::string>()) : std::nullopt;
  };
  // A token of that name that no list declares and the vocabulary does not have is new, so no model was trained to
  // begin or end a text by it: these are looked up before it is added.
  bos_ = id_of("bos_token");
  last_ = id_of("eos_token");
  add_tokens(declared.named, false);
  if (last_) eos_.push_back(*last_);
  append_new(eos_, id_list(parse_named(files, "generation_config.json", where_), "eos_token_id"));
  // Models of several parts keep the text model's settings one level down.
  for (const json& part : {config, config.value("text_config", json::object())}) {
    if (!part.is_object()) continue;
    append_new(eos_, id_list(part, "eos_token_id"));
    if (const auto ids = id_list(part, "bos_token_id"); !bos_ && !ids.empty()) bos_ = ids[0];
  }

  const json settings = parse_named(files, "tokenizer_config.json", where_);
  const auto flag = [&](const char* key) {
    const auto it = settings.find(key);
    if (it == settings.end() || !it->is_boolean()) return false;
    explicit_ends_ = true;
    return it->get<bool>();
  };
  add_bos_ = flag("add_bos_token") && bos_;
  add_eos_ = flag("add_eos_token") && last_;
  if (explicit_ends_) return;
  const std::vector<std::uint32_t> empty = encode_by_library("", AddSpecial::yes);
  add_bos_ = bos_ && !empty.empty() && empty.front() == *bos_;
}

void Tokenizer::add_tokens(const json& tokens, bool replace) {
  if (tokens.empty()) return;
  const std::string text = tokens.dump();
  CrateText error;
  if (strata_tokenizer_add_tokens(library_.get(), text.data(), text.size(), !replace, error.out()) != STRATA_OK)
    fail("{}: added tokens: {}", where_, error.view());
}

std::vector<AddedToken> Tokenizer::added_tokens() const {
  CrateText text, error;
  if (strata_tokenizer_added_tokens(library_.get(), text.out(), error.out()) != STRATA_OK)
    fail("{}: added tokens: {}", where_, error.view());
  std::vector<AddedToken> result;
  for (const json& token : parse_json(text.view(), where_))
    result.push_back({token[0].get<std::uint32_t>(), token[1].get<std::string>(), token[2].get<bool>()});
  return result;
}

std::vector<std::uint32_t> Tokenizer::encode(std::string_view text, AddSpecial add) const {
  if (add == AddSpecial::no || !explicit_ends_) return encode_by_library(text, add);
  std::vector<std::uint32_t> ids = encode_by_library(text, AddSpecial::no);
  if (add_bos_) ids.insert(ids.begin(), *bos_);
  if (add_eos_) ids.push_back(*last_);
  return ids;
}

std::vector<std::uint32_t> Tokenizer::encode_by_library(std::string_view text, AddSpecial add) const {
  strata_ids ids{};
  CrateText error;
  if (strata_tokenizer_encode(library_.get(), text.data(), text.size(), add == AddSpecial::yes, &ids, error.out()) !=
      STRATA_OK)
    fail("text for the tokenizer of {}: {}", where_, error.view());
  std::vector<std::uint32_t> result(ids.data, ids.data + ids.size);
  strata_ids_free(ids);
  return result;
}

std::string Tokenizer::decode(std::span<const std::uint32_t> ids, SkipSpecial skip) const {
  CrateText text, error;
  if (strata_tokenizer_decode(library_.get(), ids.data(), ids.size(), skip == SkipSpecial::yes, text.out(),
                              error.out()) != STRATA_OK)
    fail("ids for the tokenizer of {}: {}", where_, error.view());
  return std::string(text.view());
}

std::size_t Tokenizer::vocab_size() const { return strata_tokenizer_vocab_size(library_.get()); }

std::optional<std::uint32_t> Tokenizer::token_to_id(std::string_view token) const {
  std::uint32_t id = 0;
  CrateText error;
  if (strata_tokenizer_token_to_id(library_.get(), token.data(), token.size(), &id, error.out()) != STRATA_OK)
    return std::nullopt;
  return id;
}

std::optional<std::string> Tokenizer::id_to_token(std::uint32_t id) const {
  CrateText token, error;
  if (strata_tokenizer_id_to_token(library_.get(), id, token.out(), error.out()) != STRATA_OK) return std::nullopt;
  return std::string(token.view());
}

std::string StreamDecoder::push(std::uint32_t id) {
  // A token's text can depend on the one before it (a leading space that is stripped at the start only), so the ids
  // given out last stay in front as context, and the text is what their joint decoding adds.
  constexpr std::string_view replacement = "\xEF\xBF\xBD";
  constexpr std::size_t context = 4, longest_wait = 16;
  ids_.push_back(id);
  const std::string before = tokenizer_.decode(std::span(ids_).first(given_), skip_);
  const std::string now = tokenizer_.decode(ids_, skip_);
  // At most 4 tokens make one character; a replacement character that stays longer is no beginning of one.
  const bool waited = ids_.size() - given_ >= longest_wait;
  if (!waited && (now.size() <= before.size() || now.ends_with(replacement))) return {};
  if (ids_.size() > 2 * context) ids_.erase(ids_.begin(), ids_.end() - context);
  given_ = ids_.size();
  return now.size() > before.size() ? now.substr(before.size()) : std::string();
}

std::string StreamDecoder::finish() {
  const std::string before = tokenizer_.decode(std::span(ids_).first(given_), skip_);
  const std::string now = tokenizer_.decode(ids_, skip_);
  ids_.clear();
  given_ = 0;
  return now.size() > before.size() ? now.substr(before.size()) : std::string();
}

}  // namespace strata::model
