// GGUF vocabulary -> tokenizer.json. The file's merges are kept, if it has them; SentencePiece BPE has none but Gemma
// 4's, so they are rebuilt from pieces and scores as transformers' generate_merges does (convert_slow_tokenizer.py).
#include "model/gguf/tokenizer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "model/gguf/merges.h"
#include "model/gguf/pre_tokenizers.h"

namespace strata::model {
namespace {

using Ids = std::unordered_map<std::string_view, std::uint32_t>;

struct Merge {
  std::string_view left, right;
  float score;
  std::size_t left_length, right_length;  // code points
};

class Builder {
 public:
  Builder(const GgufVocabulary& vocabulary, const std::string& where) : vocabulary_(vocabulary), where_(where) {
    check_lists();
    sentencepiece_ = vocabulary.model == "llama" || has_listed_merges();
    if (!sentencepiece_ && vocabulary.model != "gpt2")
      fail("{}: tokenizer.ggml.model is '{}'; supported are gpt2 (byte-level BPE), llama and gemma4 (SentencePiece)",
           where_, vocabulary.model);
    if (!sentencepiece_) {
      pre_ = find_pre_tokenizer(vocabulary.pre.empty() ? "default" : vocabulary.pre);
      if (pre_ == nullptr)
        fail("{}: tokenizer.ggml.pre is '{}', which is not known; known are {}", where_, vocabulary.pre,
             known_pre_tokenizers());
    }
    index_tokens();
    find_special();
  }

  NamedTexts build() const {
    return {{"tokenizer.json", tokenizer_json()}, {"tokenizer_config.json", config().dump(2) + "\n"}};
  }

 private:
  void check_lists() const;
  void index_tokens();
  void find_special();
  bool is_padding(std::size_t id) const;
  GgufTokenType type(std::size_t id) const;
  json added_tokens() const;
  json normalizer() const;
  json pre_tokenizer() const;
  json post_processor() const;
  json decoder() const;
  json chat_templates() const;
  json config() const;
  std::string tokenizer_json() const;
  std::string vocabulary_text() const;
  std::vector<std::string_view> ordinary_tokens() const;
  std::string merges_text() const;
  void write_merge(std::string& out, std::string_view left, std::string_view right) const;
  std::vector<Merge> merges_from_scores() const;
  const std::string& token(std::uint32_t id) const { return vocabulary_.tokens[id]; }
  bool has_listed_merges() const { return vocabulary_.model == "gemma4"; }  // of SentencePiece, beside its scores

  const GgufVocabulary& vocabulary_;
  const std::string& where_;
  bool sentencepiece_ = false;
  const PreTokenizer* pre_ = nullptr;
  Ids ids_;
  std::vector<std::vector<std::size_t>> starts_;
  std::optional<std::uint32_t> bos_, eos_, unknown_, padding_;
  bool add_bos_ = false, add_eos_ = false, bytes_ = false;
};

void Builder::check_lists() const {
  const std::size_t count = vocabulary_.tokens.size();
  if (count == 0) fail("{}: tokenizer.ggml.tokens is missing or empty", where_);
  if (count > std::numeric_limits<std::int32_t>::max()) fail("{}: {} tokens are too many", where_, count);
  if (!vocabulary_.token_type.empty() && vocabulary_.token_type.size() != count)
    fail("{}: tokenizer.ggml.token_type has {} entries for {} tokens", where_, vocabulary_.token_type.size(), count);
  if (vocabulary_.model == "llama" && vocabulary_.scores.size() != count)
    fail("{}: tokenizer.ggml.scores has {} entries for {} tokens", where_, vocabulary_.scores.size(), count);
  for (const auto& [key, id] : {std::pair{"bos", vocabulary_.bos_token_id}, std::pair{"eos", vocabulary_.eos_token_id}})
    if (id && *id >= count)
      fail("{}: tokenizer.ggml.{}_token_id is {}, but there are {} tokens", where_, key, *id, count);
}

GgufTokenType Builder::type(std::size_t id) const {
  return vocabulary_.token_type.empty() ? GgufTokenType::normal : GgufTokenType{vocabulary_.token_type[id]};
}

/// Whether a token was put in to fill the vocabulary up to the embedding's rows: "[PAD32000]" of type unused. The
/// original tokenizer does not have it.
bool Builder::is_padding(std::size_t id) const {
  return type(id) == GgufTokenType::unused && token(static_cast<std::uint32_t>(id)) == fmt::format("[PAD{}]", id);
}

void Builder::index_tokens() {
  starts_.resize(vocabulary_.tokens.size());
  for (std::uint32_t id = 0; id < vocabulary_.tokens.size(); ++id) {
    const std::string& text = token(id);
    std::optional<std::vector<std::size_t>> starts = code_points(text);
    if (!starts) fail("{}: tokenizer.ggml.tokens[{}] is not valid UTF-8", where_, id);
    // The limit is longer than any real token, and pieces up to it are still cheap to take apart in all ways.
    if (text.size() > 4096) fail("{}: tokenizer.ggml.tokens[{}] has {} bytes, more than 4096", where_, id, text.size());
    if (sentencepiece_) starts_[id] = std::move(*starts);
    if (type(id) == GgufTokenType::byte) bytes_ = true;
    if (is_padding(id) || text.empty()) continue;
    if (const auto [it, added] = ids_.emplace(text, id); !added)
      fail("{}: tokenizer.ggml.tokens[{}] and [{}] are both '{}'", where_, it->second, id, text);
  }
}

/// Fills in llama.cpp's defaults for what the file does not say, or says of tokens that it does not have.
void Builder::find_special() {
  const auto present = [&](std::optional<std::uint32_t> id) {
    return id && *id < vocabulary_.tokens.size() ? id : std::nullopt;
  };
  const auto or_default = [&](std::optional<std::uint32_t> id, std::uint32_t fallback) {
    if (id || !sentencepiece_ || fallback >= vocabulary_.tokens.size()) return id;
    const bool marker = vocabulary_.token_type.empty() || type(fallback) != GgufTokenType::normal;
    return marker ? std::optional(fallback) : std::nullopt;
  };
  bos_ = or_default(vocabulary_.bos_token_id, 1);
  eos_ = or_default(vocabulary_.eos_token_id, 2);
  // Some files name an ordinary token here, which would be cut out of every text if it were special.
  padding_ = present(vocabulary_.padding_token_id);
  if (padding_ && !vocabulary_.token_type.empty() && type(*padding_) == GgufTokenType::normal) padding_.reset();
  unknown_ = present(vocabulary_.unknown_token_id);
  for (std::uint32_t id = 0; id < vocabulary_.tokens.size() && !unknown_; ++id)
    if (type(id) == GgufTokenType::unknown) unknown_ = id;
  unknown_ = or_default(unknown_, 0);
  for (std::optional<std::uint32_t>* id : {&bos_, &eos_, &unknown_, &padding_})
    if (*id && (token(**id).empty() || is_padding(**id))) id->reset();
  if (vocabulary_.add_bos_token.value_or(false) && !bos_)
    fail("{}: tokenizer.ggml.add_bos_token is set, but bos_token_id is missing", where_);
  if (vocabulary_.add_eos_token.value_or(false) && !eos_)
    fail("{}: tokenizer.ggml.add_eos_token is set, but eos_token_id is missing", where_);
  add_bos_ = bos_ && vocabulary_.add_bos_token.value_or(sentencepiece_ || pre_->add_bos);
  add_eos_ = eos_ && vocabulary_.add_eos_token.value_or(false);
}

json Builder::added_tokens() const {
  json list = json::array();
  for (std::uint32_t id = 0; id < vocabulary_.tokens.size(); ++id) {
    const GgufTokenType kind = type(id);
    const bool named = id == bos_ || id == eos_ || id == unknown_ || id == padding_;
    const bool special = named || kind == GgufTokenType::control || kind == GgufTokenType::unknown;
    if ((!special && kind != GgufTokenType::user_defined) || token(id).empty()) continue;
    list.push_back({{"id", id},
                    {"content", token(id)},
                    {"single_word", false},
                    {"lstrip", false},
                    {"rstrip", false},
                    {"normalized", false},
                    {"special", special}});
  }
  return list;
}

json Builder::normalizer() const {
  if (!sentencepiece_) return pre_->nfc ? json{{"type", "NFC"}} : json();
  json steps = json::array();
  if (vocabulary_.add_space_prefix.value_or(true)) steps.push_back({{"type", "Prepend"}, {"prepend", kSpace}});
  steps.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}});
  return {{"type", "Sequence"}, {"normalizers", steps}};
}

json Builder::pre_tokenizer() const {
  if (sentencepiece_) return nullptr;
  json steps = json::array();
  for (const std::string_view expression : pre_->expressions)
    steps.push_back(
        {{"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}, {"invert", false}});
  steps.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}});
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

json Builder::post_processor() const {
  if (!add_bos_ && !add_eos_) return nullptr;
  json single = json::array(), pair = json::array(), special = json::object();
  const auto end = [&](json& list, std::uint32_t id, int part) {
    list.push_back({{"SpecialToken", {{"id", token(id)}, {"type_id", part}}}});
    special[token(id)] = {{"id", token(id)}, {"ids", {id}}, {"tokens", {token(id)}}};
  };
  const auto sequence = [&](json& list, int part) {
    if (add_bos_) end(list, *bos_, part);
    list.push_back({{"Sequence", {{"id", part == 0 ? "A" : "B"}, {"type_id", part}}}});
    if (add_eos_) end(list, *eos_, part);
  };
  sequence(single, 0);
  sequence(pair, 0);
  sequence(pair, 1);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

json Builder::decoder() const {
  if (!sentencepiece_)
    return {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  json steps = json::array();
  steps.push_back({{"type", "Replace"}, {"pattern", {{"String", kSpace}}}, {"content", " "}});
  steps.push_back({{"type", "ByteFallback"}});
  steps.push_back({{"type", "Fuse"}});
  if (vocabulary_.add_space_prefix.value_or(true))
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"type", "Sequence"}, {"decoders", steps}};
}

/// The chat template, or a list of all when there are others beside it; empty without any.
json Builder::chat_templates() const {
  const auto checked = [&](const std::string& text, const std::string& key) {
    if (!code_points(text)) fail("{}: {} is not valid UTF-8", where_, key);
    return text;
  };
  const std::string& usual = vocabulary_.chat_template;
  checked(usual, "tokenizer.chat_template");
  // A list without a default is what no reader of it takes.
  if (usual.empty()) return json();
  if (vocabulary_.named_templates.empty()) return usual;
  json list = json::array({{{"name", "default"}, {"template", usual}}});
  for (const auto& [name, text] : vocabulary_.named_templates) {
    const std::string key = "tokenizer.chat_template." + checked(name, "a name of tokenizer.chat_template.*");
    if (name != "default") list.push_back({{"name", name}, {"template", checked(text, key)}});
  }
  return list;
}

json Builder::config() const {
  json result = {{"tokenizer_class", "PreTrainedTokenizerFast"}};
  for (const auto& [key, id] : {std::pair{"bos_token", bos_}, std::pair{"eos_token", eos_},
                                std::pair{"unk_token", unknown_}, std::pair{"pad_token", padding_}})
    if (id) result[key] = token(*id);
  result["add_bos_token"] = add_bos_;
  result["add_eos_token"] = add_eos_;
  result["clean_up_tokenization_spaces"] = false;
  if (const json templates = chat_templates(); !templates.empty()) result["chat_template"] = templates;
  return result;
}

/// The vocabulary as JSON text, written by hand: the library's object finds each of its keys by a search from the
/// front.
std::string Builder::vocabulary_text() const {
  std::string out = "{";
  for (std::uint32_t id = 0; id < vocabulary_.tokens.size(); ++id) {
    if (is_padding(id) || token(id).empty()) continue;
    if (out.size() > 1) out += ",\n";
    out += fmt::format("{}:{}", json(token(id)).dump(), id);
  }
  return out + "}";
}

void Builder::write_merge(std::string& out, std::string_view left, std::string_view right) const {
  if (out.size() > 1) out += ",\n";
  out += fmt::format("[{},{}]", json(left).dump(), json(right).dump());
}

/// The tokens that merges can make.
std::vector<std::string_view> Builder::ordinary_tokens() const {
  std::vector<std::string_view> result;
  for (std::uint32_t id = 0; id < vocabulary_.tokens.size(); ++id)
    if (type(id) == GgufTokenType::normal || type(id) == GgufTokenType::user_defined) result.push_back(token(id));
  return result;
}

std::string Builder::merges_text() const {
  std::string out = "[";
  if (sentencepiece_ && !has_listed_merges()) {
    for (const Merge& merge : merges_from_scores()) write_merge(out, merge.left, merge.right);
    return out + "]";
  }
  if (vocabulary_.merges.empty()) {
    for (const auto& [left, right] : merges_from_order(ordinary_tokens()))
      if (ids_.contains(left) && ids_.contains(right)) write_merge(out, left, right);
    return out + "]";
  }
  for (std::size_t i = 0; i < vocabulary_.merges.size(); ++i) {
    const std::string_view merge = vocabulary_.merges[i];
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos)
      fail("{}: tokenizer.ggml.merges[{}] is '{}', expected two pieces", where_, i, merge);
    const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    for (const std::string& piece : {std::string(left), std::string(right), std::string(left) + std::string(right)})
      if (!ids_.contains(piece))
        fail("{}: tokenizer.ggml.merges[{}] needs the token '{}', which is missing", where_, i, piece);
    write_merge(out, left, right);
  }
  return out + "]";
}

/// Every way to make a piece of two others. Pieces with higher scores come first, as SentencePiece merges them; among
/// equal scores the longer left part comes first, then the longer right part.
std::vector<Merge> Builder::merges_from_scores() const {
  std::vector<Merge> merges;
  for (std::uint32_t id = 0; id < vocabulary_.tokens.size(); ++id) {
    const GgufTokenType kind = type(id);
    if (kind == GgufTokenType::control || kind == GgufTokenType::unknown || kind == GgufTokenType::byte) continue;
    const float score = vocabulary_.scores[id];
    if (std::isnan(score)) fail("{}: tokenizer.ggml.scores[{}] is not a number", where_, id);
    const std::string_view piece = token(id);
    const std::vector<std::size_t>& starts = starts_[id];
    const std::size_t first = merges.size(), length = starts.size() - 1;
    for (std::size_t cut = 1; cut < length; ++cut) {
      const std::string_view left = piece.substr(0, starts[cut]), right = piece.substr(starts[cut]);
      if (ids_.contains(left) && ids_.contains(right)) merges.push_back({left, right, score, cut, length - cut});
    }
    std::sort(merges.begin() + static_cast<std::ptrdiff_t>(first), merges.end(), [&](const Merge& a, const Merge& b) {
      return std::pair(ids_.at(a.left), ids_.at(a.right)) < std::pair(ids_.at(b.left), ids_.at(b.right));
    });
  }
  std::stable_sort(merges.begin(), merges.end(), [](const Merge& a, const Merge& b) {
    return std::tuple(a.score, a.left_length, a.right_length) > std::tuple(b.score, b.left_length, b.right_length);
  });
  return merges;
}

std::string Builder::tokenizer_json() const {
  const json unknown = sentencepiece_ && unknown_ ? json(token(*unknown_)) : json();
  std::string out = "{\n\"version\": \"1.0\",\n\"truncation\": null,\n\"padding\": null,\n";
  out += fmt::format("\"added_tokens\": {},\n", added_tokens().dump(1));
  out += fmt::format("\"normalizer\": {},\n\"pre_tokenizer\": {},\n", normalizer().dump(), pre_tokenizer().dump());
  out += fmt::format("\"post_processor\": {},\n\"decoder\": {},\n", post_processor().dump(), decoder().dump());
  out += fmt::format(
      "\"model\": {{\"type\": \"BPE\", \"dropout\": null, \"unk_token\": {},\n\"continuing_subword_prefix\": null, "
      "\"end_of_word_suffix\": null, \"fuse_unk\": {},\n\"byte_fallback\": {}, \"ignore_merges\": {},\n",
      unknown.dump(), sentencepiece_, bytes_, pre_ != nullptr && pre_->ignore_merges);
  out += "\"vocab\": " + vocabulary_text() + ",\n\"merges\": " + merges_text() + "}\n}\n";
  return out;
}

}  // namespace

std::optional<std::uint32_t> gguf_special_token(const format::GgufFile& gguf, std::string_view name) {
  const auto it = gguf.metadata().find(fmt::format("tokenizer.ggml.{}_token_id", name));
  if (it == gguf.metadata().end()) return std::nullopt;
  if (const auto* number = std::get_if<std::int64_t>(&it->second); number != nullptr && *number < 0)
    return std::nullopt;
  constexpr std::uint32_t none = 0xFFFFFFFF;  // -1 in 32 bits
  const std::uint64_t id = gguf.integer(it->first);
  return id < none ? std::optional(static_cast<std::uint32_t>(id)) : std::nullopt;
}

NamedTexts tokenizer_from_gguf(const GgufVocabulary& vocabulary, const std::string& where) {
  return Builder(vocabulary, where).build();
}

}  // namespace strata::model
