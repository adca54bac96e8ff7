// Text <-> token ids, as Hugging Face `tokenizers` and transformers have them (the crate in tokenizer/ does the work).
// Also which tokens begin and end a text, and decoding of a stream of generated tokens into complete characters.
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

/// Files of a Hugging Face directory by name ("tokenizer.json") with their text.
using NamedTexts = std::vector<std::pair<std::string, std::string>>;

/// The tokenizer's files of a directory that exist: tokenizer.json, tokenizer_config.json, special_tokens_map.json,
/// chat_template.jinja, config.json, generation_config.json. Throws Error when a file cannot be read.
NamedTexts read_tokenizer_files(const std::filesystem::path& directory);
/// The same of an opened model; for GGUF they are made from its metadata.
NamedTexts tokenizer_files(const Model& model);
/// The text of a file, or nullptr.
const std::string* find_text(const NamedTexts& files, std::string_view name);
/// "bos_token", "eos_token", ... -> text, those that tokenizer_config.json or special_tokens_map.json set.
json special_tokens(const NamedTexts& files, const std::string& where);

enum class AddSpecial { no, yes };
enum class SkipSpecial { no, yes };

/// Safe to use from several threads at once.
class Tokenizer {
 public:
  /// tokenizer_json: the text of a tokenizer.json. `where` opens every error's sentence. Throws Error when it is no
  /// tokenizer that the library knows.
  static Tokenizer from_json(std::string_view tokenizer_json, std::string where);
  /// With all files that say something of special tokens. Throws Error when tokenizer.json is not among them.
  static Tokenizer from_files(const NamedTexts& files, std::string where);
  static Tokenizer from_directory(const std::filesystem::path& directory);

  /// AddSpecial::yes puts in front (and behind) what the model expects there: what transformers' tokenizer does by
  /// default. Text must be UTF-8: Error naming the byte otherwise. Empty text is allowed.
  std::vector<std::uint32_t> encode(std::string_view text, AddSpecial add = AddSpecial::no) const;
  /// Ids without a token contribute nothing; bytes that form no character become U+FFFD.
  std::string decode(std::span<const std::uint32_t> ids, SkipSpecial skip = SkipSpecial::yes) const;

  /// Number of tokens, added ones included. Ids may have holes.
  std::size_t vocab_size() const;
  std::optional<std::uint32_t> token_to_id(std::string_view token) const;
  std::optional<std::string> id_to_token(std::uint32_t id) const;

  /// First token of a text, if the model has one: tokenizer_config.json, else config.json.
  std::optional<std::uint32_t> bos() const { return bos_; }
  /// Tokens that end a generation: the union of tokenizer_config.json, generation_config.json and config.json.
  const std::vector<std::uint32_t>& eos() const { return eos_; }
  /// True when AddSpecial::yes puts bos() in front.
  bool add_bos() const { return add_bos_; }
  const std::string& where() const { return where_; }

 private:
  struct Release {
    void operator()(strata_tokenizer* tokenizer) const;
  };
  explicit Tokenizer(std::string where) : where_(std::move(where)) {}
  void read_special(const NamedTexts& files);
  std::vector<std::uint32_t> encode_by_library(std::string_view text, AddSpecial add) const;

  std::string where_;
  std::unique_ptr<strata_tokenizer, Release> library_;
  std::optional<std::uint32_t> bos_;
  std::vector<std::uint32_t> eos_;
  // Set when tokenizer_config.json has add_bos_token or add_eos_token, which then replace the post-processor.
  bool explicit_ends_ = false, add_bos_ = false, add_eos_ = false;
  std::optional<std::uint32_t> last_;  // put behind the text when add_eos_
};

/// Turns generated ids into text piece by piece; characters are given out only when all their bytes are there.
/// The pieces of ids that make valid text are together what decode() of all gives. The tokenizer must outlive it.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, SkipSpecial skip = SkipSpecial::yes)
      : tokenizer_(tokenizer), skip_(skip) {}
  /// The text that this id completes; often empty inside a character of several bytes.
  std::string push(std::uint32_t id);
  /// What is held back: an incomplete character, as U+FFFD.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  SkipSpecial skip_;
  std::vector<std::uint32_t> ids_;  // a context that was given out, then ids that were not
  std::size_t given_ = 0;           // how many of ids_ were given out
};

}  // namespace strata::model
