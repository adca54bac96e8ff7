// GGUF files as objects: lookup by name and typed metadata.
// The parsing is in gguf_parse.cpp.
#include "format/gguf.h"

#include <cstring>
#include <fstream>

#include "core/error.h"

namespace strata::format {

bool is_gguf(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  char magic[4] = {};
  return in.read(magic, 4) && std::memcmp(magic, "GGUF", 4) == 0;
}

GgufFile::GgufFile(MappedFile file, GgufContent content) : file_(std::move(file)), content_(std::move(content)) {
  for (std::size_t i = 0; i < content_.tensors.size(); ++i) index_.emplace(content_.tensors[i].name, i);
}

GgufFile GgufFile::open(const std::filesystem::path& path) {
  MappedFile mapped(path);
  GgufContent content = parse_gguf(mapped.bytes(), path.string());
  GgufFile file(std::move(mapped), std::move(content));
  if (file.has("split.count") && file.integer("split.count") > 1)
    fail("{}: is one of {} parts of a model; join them with llama-gguf-split --merge first", path.string(),
         file.integer("split.count"));
  return file;
}

const GgufTensor* GgufFile::find(std::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &content_.tensors[it->second];
}

const GgufValue& GgufFile::value(std::string_view key) const {
  const auto it = content_.metadata.find(key);
  if (it == content_.metadata.end()) fail("{}: the metadata key '{}' is missing", file_.path().string(), key);
  return it->second;
}

template <class T>
const T& GgufFile::typed(std::string_view key, const char* kind) const {
  const auto* found = std::get_if<T>(&value(key));
  if (found == nullptr) fail("{}: the metadata key '{}' is not {}", file_.path().string(), key, kind);
  return *found;
}

std::uint64_t GgufFile::integer(std::string_view key) const {
  if (const auto* number = std::get_if<std::int64_t>(&value(key)); number != nullptr && *number >= 0)
    return static_cast<std::uint64_t>(*number);
  return typed<std::uint64_t>(key, "a non-negative integer");
}

double GgufFile::real(std::string_view key) const {
  if (const auto* number = std::get_if<std::uint64_t>(&value(key))) return static_cast<double>(*number);
  if (const auto* number = std::get_if<std::int64_t>(&value(key))) return static_cast<double>(*number);
  return typed<double>(key, "a number");
}

bool GgufFile::boolean(std::string_view key) const { return typed<bool>(key, "a truth value"); }

const std::string& GgufFile::text(std::string_view key) const { return typed<std::string>(key, "a text"); }

const std::vector<std::string>& GgufFile::texts(std::string_view key) const {
  const auto* items = std::get_if<std::vector<std::string>>(&typed<GgufArray>(key, "an array of texts"));
  if (items == nullptr) fail("{}: the metadata key '{}' is not an array of texts", file_.path().string(), key);
  return *items;
}

std::vector<double> GgufFile::reals(std::string_view key) const {
  const auto& array = typed<GgufArray>(key, "an array of numbers");
  if (const auto* items = std::get_if<std::vector<double>>(&array)) return *items;
  if (const auto* items = std::get_if<std::vector<std::uint64_t>>(&array)) return {items->begin(), items->end()};
  if (const auto* items = std::get_if<std::vector<std::int64_t>>(&array)) return {items->begin(), items->end()};
  fail("{}: the metadata key '{}' is not an array of numbers", file_.path().string(), key);
}

std::vector<std::int64_t> GgufFile::integers(std::string_view key) const {
  const auto& array = typed<GgufArray>(key, "an array of integers");
  if (const auto* items = std::get_if<std::vector<std::int64_t>>(&array)) return *items;
  const auto* items = std::get_if<std::vector<std::uint64_t>>(&array);
  if (items == nullptr) fail("{}: the metadata key '{}' is not an array of integers", file_.path().string(), key);
  std::vector<std::int64_t> numbers;
  numbers.reserve(items->size());
  for (const std::uint64_t item : *items) {
    if (item > INT64_MAX)
      fail("{}: the metadata key '{}' holds {}, which is too large", file_.path().string(), key, item);
    numbers.push_back(static_cast<std::int64_t>(item));
  }
  return numbers;
}

}  // namespace strata::format
