// GGUF files as objects: lookup by name and typed metadata.
// The parsing is in gguf_parse.cpp.
#include "format/gguf.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <set>

#include "core/error.h"

namespace strata::format {

bool is_gguf(const std::filesystem::path& path) {
  std::error_code code;
  if (!std::filesystem::is_regular_file(path, code)) return false;  // opening a pipe would wait for its writer
  std::ifstream in(path, std::ios::binary);
  char magic[4] = {};
  return in.read(magic, 4) && std::memcmp(magic, "GGUF", 4) == 0;
}

GgufFile::GgufFile(GgufContent content, std::string name) : name_(std::move(name)), content_(std::move(content)) {
  index();
}

void GgufFile::index() {
  for (std::size_t i = 0; i < content_.tensors.size(); ++i) index_.emplace(content_.tensors[i].name, i);
}

std::string gguf_part_name(std::string_view stem, std::size_t part, std::size_t count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", stem, part + 1, count);
}

std::vector<std::filesystem::path> gguf_parts(const std::filesystem::path& stem) {
  const std::string begin = stem.filename().string();
  const std::string shape = begin + "-#####-of-#####.gguf";  // '#' is a digit
  const auto fits = [](char wanted, char c) { return wanted == '#' ? c >= '0' && c <= '9' : c == wanted; };
  const std::filesystem::path folder = stem.has_parent_path() ? stem.parent_path() : ".";
  std::vector<std::filesystem::path> parts;
  std::error_code code;
  for (std::filesystem::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    const bool tail = name.size() == shape.size() &&
                      std::equal(shape.begin() + static_cast<std::ptrdiff_t>(begin.size()), shape.end(),
                                 name.begin() + static_cast<std::ptrdiff_t>(begin.size()), fits);
    if (tail && name.starts_with(begin)) parts.push_back(stem.parent_path() / name);
  }
  std::ranges::sort(parts);
  return parts;
}

std::optional<std::filesystem::path> find_first_gguf_part(const std::filesystem::path& stem) {
  for (const std::filesystem::path& part : gguf_parts(stem))
    if (part.filename().string().starts_with(stem.filename().string() + "-00001-of-")) return part;
  return std::nullopt;
}

void GgufFile::add_parts(Required required) {
  const std::string& path = name_;
  const std::uint64_t count = integer("split.count"), number = has("split.no") ? integer("split.no") : 0;
  if (count > 65535) fail("{}: is said to be one of {} parts; the metadata is damaged", path, count);
  const std::string end = gguf_part_name("", number, count);
  if (!path.ends_with(end))
    fail("{}: is part {} of {} of a model, whose name should end in {}; give the parts their names back", path,
         number + 1, count, end);
  const std::string stem = path.substr(0, path.size() - end.size());
  if (number != 0)
    fail("{}: is part {} of {} of a model; give the first, {}", path, number + 1, count,
         gguf_part_name(stem, 0, count));
  std::set<std::string> names;
  for (const GgufTensor& tensor : content_.tensors) names.insert(tensor.name);
  for (std::size_t p = 1; p < count; ++p) {
    const std::string other = gguf_part_name(stem, p, count);
    MappedFile mapped(other);
    GgufContent content = parse_gguf(mapped.bytes(), other, required);
    const auto holds = [&](const char* key, std::uint64_t value) {
      const auto it = content.metadata.find(key);
      const auto* found = it == content.metadata.end() ? nullptr : std::get_if<std::uint64_t>(&it->second);
      return found != nullptr && *found == value;
    };
    if (!holds("split.no", p) || !holds("split.count", count))
      fail("{}: is not part {} of {} of {}; the files are mixed up", other, p + 1, count, path);
    for (GgufTensor& tensor : content.tensors) {
      if (!names.insert(tensor.name).second)
        fail("{}: the tensor '{}' is in an earlier part too; the files are mixed up", other, tensor.name);
      content_.tensors.push_back(std::move(tensor));
    }
    files_.push_back(std::move(mapped));
  }
  if (has("split.tensors.count") && integer("split.tensors.count") != content_.tensors.size())
    fail("{}: {} tensors are announced, and the {} parts have {}", path, integer("split.tensors.count"), count,
         content_.tensors.size());
}

GgufFile GgufFile::open(const std::filesystem::path& path, Required required) {
  MappedFile mapped(path);
  GgufContent content = parse_gguf(mapped.bytes(), path.string(), required);
  GgufFile file(std::move(content), path.string());
  file.files_.push_back(std::move(mapped));
  if (file.has("split.count") && file.integer("split.count") > 1) file.add_parts(required);
  file.index();
  return file;
}

bool GgufFile::complete() const {
  return std::ranges::all_of(content_.tensors, [](const GgufTensor& tensor) { return tensor.data.present(); });
}

const GgufTensor* GgufFile::find(std::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &content_.tensors[it->second];
}

const GgufValue& GgufFile::value(std::string_view key) const {
  const auto it = content_.metadata.find(key);
  if (it == content_.metadata.end()) fail("{}: the metadata key '{}' is missing", name_, key);
  return it->second;
}

template <class T>
const T& GgufFile::typed(std::string_view key, const char* kind) const {
  const auto* found = std::get_if<T>(&value(key));
  if (found == nullptr) fail("{}: the metadata key '{}' is not {}", name_, key, kind);
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
  if (items == nullptr) fail("{}: the metadata key '{}' is not an array of texts", name_, key);
  return *items;
}

std::vector<double> GgufFile::reals(std::string_view key) const {
  const auto& array = typed<GgufArray>(key, "an array of numbers");
  if (const auto* items = std::get_if<std::vector<double>>(&array)) return *items;
  if (const auto* items = std::get_if<std::vector<std::uint64_t>>(&array)) return {items->begin(), items->end()};
  if (const auto* items = std::get_if<std::vector<std::int64_t>>(&array)) return {items->begin(), items->end()};
  fail("{}: the metadata key '{}' is not an array of numbers", name_, key);
}

std::vector<std::int64_t> GgufFile::integers(std::string_view key) const {
  const auto& array = typed<GgufArray>(key, "an array of integers");
  if (const auto* items = std::get_if<std::vector<std::int64_t>>(&array)) return *items;
  const auto* items = std::get_if<std::vector<std::uint64_t>>(&array);
  if (items == nullptr) fail("{}: the metadata key '{}' is not an array of integers", name_, key);
  std::vector<std::int64_t> numbers;
  numbers.reserve(items->size());
  for (const std::uint64_t item : *items) {
    if (item > INT64_MAX) fail("{}: the metadata key '{}' holds {}, which is too large", name_, key, item);
    numbers.push_back(static_cast<std::int64_t>(item));
  }
  return numbers;
}

}  // namespace strata::format
