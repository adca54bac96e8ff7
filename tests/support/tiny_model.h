// A tiny golden model copied to a folder of its own, with tensors that a test changes, and a tokenizer of a few words.
// Whoever includes this runs its tests on one thread, as tiny models are too small for more.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "core/numbers.h"
#include "core/threads.h"
#include "model/tokenizer.h"
#include "support/error_of.h"
#include "support/golden_model.h"
#include "support/temporary_folder.h"

namespace strata::fixtures {

namespace fs = std::filesystem;
using ::strata::error_of;
using ::strata::golden_model;
using ::strata::TemporaryFolder;

/// Tiny models run on one thread (more only wait for each other); a test that wants more has them while this lives.
inline const bool kOneThread = (set_thread_count(1), true);
class Threads {
 public:
  explicit Threads(std::size_t count) { set_thread_count(count); }
  ~Threads() { set_thread_count(1); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
};

/// A one-file bf16 golden model that can be changed.
class TinyModel {
 public:
  explicit TinyModel(const std::string& name) {
    fs::copy_file(golden_model(name) / "config.json", folder_.path() / "config.json");
    const std::string file = read_text_file(golden_model(name) / "model.safetensors");
    std::uint64_t header = 0;
    std::memcpy(&header, file.data(), 8);
    header_ = json::parse(file.substr(8, header));
    data_ = file.substr(8 + header);
    save();
  }
  const fs::path& path() const { return folder_.path(); }

  /// value(i) for every element i of a tensor, rounded to bf16.
  void set(const std::string& tensor, const std::function<float(std::size_t)>& value) {
    const std::size_t count = (offset(tensor, 1) - offset(tensor, 0)) / 2;
    for (std::size_t i = 0; i < count; ++i) store(offset(tensor, 0) + 2 * i, value(i));
    save();
  }
  void set_element(const std::string& tensor, std::size_t index, float value) {
    store(offset(tensor, 0) + 2 * index, value);
    save();
  }
  /// Adds a tensor at the end of the file; `dtype` is a safetensors name. Several may be added before opening.
  void add(const std::string& tensor, const std::string& dtype, const std::vector<std::size_t>& shape,
           const std::string& bytes) {
    header_[tensor] = {
        {"dtype", dtype}, {"shape", shape}, {"data_offsets", {data_.size(), data_.size() + bytes.size()}}};
    data_ += bytes;
    save();
  }
  /// Gives tensors other names.
  void rename(const std::function<std::string(const std::string&)>& name) {
    json renamed = json::object();
    for (const auto& [old, entry] : header_.items()) renamed[old == "__metadata__" ? old : name(old)] = entry;
    header_ = renamed;
    save();
  }
  /// Changes config.json.
  void configure(const json& changes) const {
    json config = read_json_file(folder_.path() / "config.json");
    config.update(changes);
    write_json_file(folder_.path() / "config.json", config);
  }
  /// Drops the last `rows` tokens of the vocabulary.
  void shrink_vocabulary(std::size_t rows) {
    const std::string embedding = "model.embed_tokens.weight";
    const std::size_t end = offset(embedding, 1), cut = rows * header_[embedding]["shape"][1].get<std::size_t>() * 2;
    data_.erase(end - cut, cut);
    for (auto& [name, entry] : header_.items())
      for (json& at : entry.at(name == "__metadata__" ? "format" : "data_offsets"))
        if (at.is_number() && at.get<std::size_t>() >= end) at = at.get<std::size_t>() - cut;
    header_[embedding]["shape"][0] = header_[embedding]["shape"][0].get<std::size_t>() - rows;
    json config = read_json_file(folder_.path() / "config.json");
    config["vocab_size"] = header_[embedding]["shape"][0];
    write_json_file(folder_.path() / "config.json", config);
    save();
  }

 private:
  std::size_t offset(const std::string& tensor, std::size_t end) const {
    EXPECT_EQ(header_.at(tensor)["dtype"], "BF16");
    return header_.at(tensor)["data_offsets"][end].get<std::size_t>();
  }
  void store(std::size_t at, float value) {
    const bf16 bits = to_bf16(value);
    std::memcpy(data_.data() + at, &bits, 2);
  }
  void save() const {
    const std::string text = header_.dump();
    const std::uint64_t size = text.size();
    std::string file(8, '\0');
    std::memcpy(file.data(), &size, 8);
    write_text_file(folder_.path() / "model.safetensors", file + text + data_);
  }
  TemporaryFolder folder_;
  json header_;
  std::string data_;
};

/// The sequences of a golden model's golden.json.
inline std::vector<std::vector<std::uint32_t>> golden_ids(const std::string& name) {
  return read_json_file(golden_model(name) / "golden.json")["ids"].get<std::vector<std::vector<std::uint32_t>>>();
}

/// Words "w0" .. "w69" are tokens 10 .. 79, as far as they are in the vocabulary; "<s>" is 1 and put first when
/// add_bos. Files by name.
inline model::NamedTexts word_tokenizer_files(bool add_bos, std::size_t vocabulary_size = 80) {
  json vocabulary = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (std::size_t i = 0; i + 10 < vocabulary_size; ++i) vocabulary[fmt::format("w{}", i)] = 10 + i;
  const json special = {{"id", 1},         {"content", "<s>"},    {"single_word", false}, {"lstrip", false},
                        {"rstrip", false}, {"normalized", false}, {"special", true}};
  const json tokenizer = {{"version", "1.0"},
                          {"truncation", nullptr},
                          {"padding", nullptr},
                          {"added_tokens", json::array({special})},
                          {"normalizer", nullptr},
                          {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
                          {"post_processor", nullptr},
                          {"decoder", nullptr},
                          {"model", {{"type", "WordLevel"}, {"vocab", vocabulary}, {"unk_token", "<unk>"}}}};
  json config = {{"bos_token", "<s>"}};
  if (add_bos) config["add_bos_token"] = true;
  return {{"tokenizer.json", tokenizer.dump()}, {"tokenizer_config.json", config.dump()}};
}

inline model::Tokenizer word_tokenizer(bool add_bos) {
  return model::Tokenizer::from_files(word_tokenizer_files(add_bos), "word tokenizer");
}

/// "w0 w1 ... w69 w0 ...", `count` words of those that a vocabulary of this size has.
inline std::string words(std::size_t count, std::size_t vocabulary_size = 80) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i)
    text += fmt::format("w{}{}", i % (vocabulary_size - 10), i % 10 == 9 ? "\n" : " ");
  return text;
}

}  // namespace strata::fixtures
