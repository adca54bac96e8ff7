// Text <-> token ids, as Hugging Face `tokenizers` and transformers have them (the crate in tokenizer/ does the work).
// The tokenizer also knows which tokens begin and end a text, and decodes a stream of tokens into complete characters.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"

struct strata_tokenizer;

namespace strata::model {

class Model;

/// Files of a Hugging Face directory: the name ("tokenizer.json") and the text of each.
using NamedTexts = std::vector<std::pair<std::string, std::string>>;

/// Reads the tokenizer's files that a directory has: tokenizer.json, tokenizer_config.json, special_tokens_map.json,
/// added_tokens.json, chat_template.jinja, config.json, generation_config.json, and the files .jinja of
/// additional_chat_templates/. Throws Error when a file cannot be read.
NamedTexts read_tokenizer_files(const std::filesystem::path& directory);
/// The tokenizer's files of an opened model; those of a GGUF model are made from its metadata.
NamedTexts tokenizer_files(const Model& model);
/// The text of the file of this name; nullptr when there is no such file.
const std::string* find_text(const NamedTexts& files, std::string_view name);
/// The JSON object in the file of this name; an empty one when there is no such file. Throws Error for anything else.
json parse_named(const NamedTexts& files, const char* name, const std::string& where);
/// The texts of special tokens by name ("bos_token", "eos_token", ...) that tokenizer_config.json or
/// special_tokens_map.json set.
json special_tokens(const NamedTexts& files, const std::string& where);

enum class AddSpecial { no, yes };
enum class SkipSpecial { no, yes };

/// A token that is found in text before any splitting.
struct AddedToken {
  std::uint32_t id;
  std::string content;
  bool special;  ///< of use to the model only, such as the marks of a chat
};

/// Safe to use from several threads at once.
class Tokenizer {
 public:
  /// tokenizer_json: the text of a tokenizer.json. `where` opens every error's sentence. Throws Error when it is no
  /// tokenizer that the library knows.
  static Tokenizer from_json(std::string_view tokenizer_json, std::string where);
  /// files: tokenizer.json, and all others that say something about special tokens; tokens that only those declare are
  /// added as by transformers (added_tokens.h). Throws Error when tokenizer.json is not among them.
  static Tokenizer from_files(const NamedTexts& files, std::string where);
  /// The tokenizer of a model's own files.
  static Tokenizer of(const Model& model);
  static Tokenizer from_directory(const std::filesystem::path& directory);

  /// AddSpecial::yes puts the special tokens before and after the text that the model expects there, as transformers'
  /// tokenizer does by default. Throws Error naming the byte for text that is not UTF-8. Empty text is allowed.
  std::vector<std::uint32_t> encode(std::string_view text, AddSpecial add = AddSpecial::no) const;
  /// Ids without a token contribute nothing; bytes that form no character become U+FFFD.
  std::string decode(std::span<const std::uint32_t> ids, SkipSpecial skip = SkipSpecial::yes) const;

  /// How many tokens there are, added ones included. Some ids below the largest may have no token.
  std::size_t vocab_size() const;
  std::optional<std::uint32_t> token_to_id(std::string_view token) const;
  std::optional<std::string> id_to_token(std::uint32_t id) const;

  /// The added tokens of all files, by rising id. An id may be beyond the rows of the model's embedding.
  std::vector<AddedToken> added_tokens() const;

  /// The token that begins a text, if the model has one; read from tokenizer_config.json, else from config.json.
  std::optional<std::uint32_t> bos() const { return bos_; }
  /// The tokens that end a generation: the union of those in tokenizer_config.json, generation_config.json and
  /// config.json.
  const std::vector<std::uint32_t>& eos() const { return eos_; }
  /// Whether AddSpecial::yes puts bos() before the text.
  bool add_bos() const { return add_bos_; }
  const std::string& where() const { return where_; }

 private:
  struct Release {
    void operator()(strata_tokenizer* tokenizer) const;
  };
  explicit Tokenizer(std::string where) : where_(std::move(where)) {}
  void read_special(const NamedTexts& files);
  void add_tokens(const json& tokens, bool replace);
  std::vector<std::uint32_t> encode_by_library(std::string_view text, AddSpecial add) const;

  std::string where_;
  std::unique_ptr<strata_tokenizer, Release> library_;
  std::optional<std::uint32_t> bos_;
  std::vector<std::uint32_t> eos_;
  // Set when tokenizer_config.json has add_bos_token or add_eos_token, which then replace the post-processor.
  bool explicit_ends_ = false, add_bos_ = false, add_eos_ = false;
  std::optional<std::uint32_t> last_;  // put after the text when add_eos_
};

/// Turns generated ids into text piece by piece; a character is given out only when all its bytes are there. For ids
/// that make valid text, the pieces together are what decode() gives for all ids. The tokenizer must outlive this.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, SkipSpecial skip = SkipSpecial::yes)
      : tokenizer_(tokenizer), skip_(skip) {}
  /// The text that this id completes; it is often empty inside a character of several bytes.
  std::string push(std::uint32_t id);
  /// The text that is held back at the end: an incomplete character, as U+FFFD.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  SkipSpecial skip_;
  std::vector<std::uint32_t> ids_;  // ids that were given out and are kept as context, then ids that were not
  std::size_t given_ = 0;           // how many of ids_ were given out
};

}  // namespace strata::model
