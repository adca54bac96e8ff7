// Reading safetensors: the header is checked as a whole before any tensor is handed out.
// The order of checks is that of docs/formats/safetensors.md.
#include "format/safetensors.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "core/checked.h"
#include "core/error.h"
#include "format/strict_json.h"

namespace strata::format {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the safetensors library
constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";

/// The JSON text of the header; everything after it is tensor data.
std::string_view header_text(std::span<const std::byte> file, const std::string& where) {
  const std::string_view all(reinterpret_cast<const char*>(file.data()), file.size());
  if (all.starts_with("version https://git-lfs"))
    fail("{}: is a Git LFS pointer, not the tensors; fetch the file itself (git lfs pull)", where);
  if (file.size() < kLengthBytes)
    fail("{}: {} bytes are too few for a safetensors file; is the download complete?", where, file.size());
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > kMaxHeaderBytes)
    fail("{}: header length {} is over the limit of {}; not a safetensors file, or damaged", where, length,
         kMaxHeaderBytes);
  if (!within(kLengthBytes, length, file.size()))
    fail("{}: header of {} bytes ends behind the file's end at {}; is the download complete?", where, length,
         file.size());
  const std::string_view text = all.substr(kLengthBytes, length);
  if (text.empty() || text.front() != '{')
    fail("{}: the header does not begin with '{{'; not a safetensors file, or damaged", where);
  return text;
}

std::vector<std::uint64_t> unsigned_list(const json& value, const char* key, const std::string& where) {
  const auto it = value.find(key);
  if (it == value.end() || !it->is_array()) fail("{}: '{}' is missing or no list", where, key);
  std::vector<std::uint64_t> numbers;
  numbers.reserve(it->size());
  for (const json& item : *it) {
    if (!item.is_number_unsigned()) fail("{}: '{}' holds other than non-negative integers", where, key);
    numbers.push_back(item.get<std::uint64_t>());
  }
  return numbers;
}

struct Entry {
  TensorView tensor;
  std::uint64_t begin;  ///< from the first byte behind the header
};

/// One entry of the header; `where` names file and tensor.
Entry parse_entry(const std::string& name, const json& entry, std::span<const std::byte> data, Required required,
                  const std::string& where) {
  if (!entry.is_object()) fail("{}: its entry in the header is no object", where);
  for (const auto& [key, value] : entry.items())
    if (key != "dtype" && key != "shape" && key != "data_offsets")
      fail("{}: unknown key '{}' in the header", where, printable(key));
  const auto dtype_name_it = entry.find("dtype");
  if (dtype_name_it == entry.end() || !dtype_name_it->is_string()) fail("{}: 'dtype' is missing or no text", where);
  const auto& type_name = dtype_name_it->get_ref<const std::string&>();
  const auto dtype = dtype_from_name(type_name);
  if (!dtype) fail("{}: dtype '{}' is not supported", where, printable(type_name));

  TensorView tensor{name, *dtype, unsigned_list(entry, "shape", where), {}};
  const auto offsets = unsigned_list(entry, "data_offsets", where);
  if (offsets.size() != 2 || offsets[0] > offsets[1])
    fail("{}: 'data_offsets' must be two numbers in rising order", where);
  std::string absent;
  if (offsets[1] > data.size())
    absent = fmt::format("{}: its data ends at {}, the file's data at {}; is the download complete?", where, offsets[1],
                         data.size());
  if (!absent.empty() && (required == Required::all || offsets[1] > kMaxDataBytes)) fail("{}", absent);
  const auto count = product(tensor.shape);
  const auto bytes = count ? multiply(*count, dtype_bytes(*dtype)) : std::nullopt;
  if (!bytes) fail("{}: the product of its shape does not fit in 64 bits", where);
  if (*bytes != offsets[1] - offsets[0])
    fail("{}: shape and dtype make {} bytes, its offsets {}", where, *bytes, offsets[1] - offsets[0]);
  tensor.data = absent.empty() ? TensorData(data.subspan(offsets[0], *bytes)) : TensorData::absent(*bytes, absent);
  return {std::move(tensor), offsets[0]};
}

/// The tensors must tile the data: this excludes overlaps, gaps and trailing bytes alike.
void check_tiling(std::vector<Entry>& entries, std::uint64_t data_bytes, const std::string& where) {
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.tensor.data.size()) < std::pair(b.begin, b.tensor.data.size());
  });
  std::uint64_t expected = 0;
  for (const auto& [tensor, begin] : entries) {
    if (begin < expected)
      fail("{}: tensor '{}' overlaps the one before it, at data offset {}", where, printable(tensor.name), begin);
    if (begin > expected)
      fail("{}: no tensor owns the {} bytes before '{}', at data offset {}", where, begin - expected,
           printable(tensor.name), expected);
    expected += tensor.data.size();
  }
  if (expected < data_bytes) fail("{}: no tensor owns the last {} bytes", where, data_bytes - expected);
}

/// Tensor name -> shard file name.
std::map<std::string, std::string> read_index(const fs::path& path) {
  const std::string where = path.string();
  const json index = parse_strict_json(read_text_file(path, kMaxHeaderBytes), where);
  const auto map = index.find("weight_map");  // end() for anything but an object
  if (map == index.end() || !map->is_object()) fail("{}: 'weight_map' is missing or no object", where);
  std::map<std::string, std::string> shards;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) fail("{}: the shard of '{}' is no text", where, printable(tensor));
    const auto& name = file.get_ref<const std::string&>();
    if (name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos || !name.ends_with(".safetensors"))
      fail("{}: the shard '{}' of '{}' is not the name of a .safetensors file in this folder", where, printable(name),
           printable(tensor));
    shards.emplace(tensor, name);
  }
  if (shards.empty()) fail("{}: 'weight_map' names no tensors", where);
  return shards;
}

/// The names of the files in a folder that end so.
std::set<std::string> files_ending(const fs::path& directory, std::string_view ending) {
  std::set<std::string> files;
  std::error_code code;
  for (fs::directory_iterator it(directory, code), end; !code && it != end; it.increment(code))
    if (it->path().extension() == ending) files.insert(printable(it->path().filename().string()));
  return files;
}

/// What to do with a folder without safetensors, by the weights that it has.
std::string advice_for_others(const fs::path& directory) {
  if (const auto files = files_ending(directory, ".gguf"); !files.empty())
    return fmt::format("{} is a GGUF file: give that file", *files.begin());
  for (const char* ending : {".bin", ".pt", ".pth"})
    if (const auto files = files_ending(directory, ending); !files.empty())
      return fmt::format(
          "{} is in PyTorch's own form, which can run code when it is read; load it with transformers and save it with "
          "save_pretrained, which writes safetensors",
          *files.begin());
  return "convert other formats to safetensors first";
}

/// What to do with a folder that has neither of the two names, by the files that it has.
std::string advice_for(const fs::path& directory) {
  const std::set<std::string> files = files_ending(directory, ".safetensors");
  if (files.empty()) return advice_for_others(directory);
  if (files.begin()->starts_with("adapter_"))
    return fmt::format(
        "{} is of an adapter, which is no model; merge it into its base model (merge_and_unload of peft) and give that",
        *files.begin());
  if (files.begin()->starts_with("consolidated"))
    return fmt::format("{} has tensors by other names than config.json's model; take the files for transformers",
                       *files.begin());
  if (files.size() == 1 && files.begin()->find("-of-") != std::string::npos)
    return fmt::format("{} is one of several, and the others and their index are missing; is the download complete?",
                       *files.begin());
  if (files.size() == 1) return fmt::format("if {} has all tensors, name it {}", *files.begin(), kSingleName);
  return fmt::format(
      "{} and {} more are there, but not the index that belongs to them; take it from where they are from",
      *files.begin(), files.size() - 1);
}

}  // namespace

std::vector<TensorView> parse_safetensors(std::span<const std::byte> file, const std::string& where,
                                          Required required) {
  const std::string_view text = header_text(file, where);
  const json header = parse_strict_json(text, where);
  const auto data = file.subspan(kLengthBytes + text.size());
  std::vector<Entry> entries;
  entries.reserve(header.size());
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    entries.push_back(parse_entry(name, entry, data, required, fmt::format("{}: tensor '{}'", where, printable(name))));
  }
  check_tiling(entries, data.size(), where);
  std::vector<TensorView> tensors;
  tensors.reserve(entries.size());
  for (Entry& entry : entries) tensors.push_back(std::move(entry.tensor));
  return tensors;
}

std::set<std::string> SafetensorsSet::add(const fs::path& file, Required required) {
  const MappedFile& mapped = files_.emplace_back(file);
  std::set<std::string> names;
  for (TensorView& tensor : parse_safetensors(mapped.bytes(), file.string(), required)) {
    const auto [it, fresh] = tensors_.try_emplace(tensor.name);
    if (!fresh) fail("{}: tensor '{}' is in another shard too", file.string(), printable(tensor.name));
    names.insert(tensor.name);
    it->second = std::move(tensor);
  }
  return names;
}

SafetensorsSet SafetensorsSet::open_file(const fs::path& file, Required required) {
  SafetensorsSet set;
  set.add(file, required);
  return set;
}

bool SafetensorsSet::complete() const {
  return std::ranges::all_of(tensors_, [](const auto& item) { return item.second.data.present(); });
}

SafetensorsSet SafetensorsSet::open_directory(const fs::path& directory, Required required) {
  std::error_code code;
  if (!fs::is_directory(directory, code)) fail("{}: is not a folder", directory.string());
  // A link to a file that is gone is opened too, so that the sentence names it.
  if (fs::exists(fs::symlink_status(directory / kSingleName, code)))
    return open_file(directory / kSingleName, required);
  const fs::path index = directory / kIndexName;
  if (!fs::exists(index, code))
    fail("{}: holds neither {} nor {}; {}", directory.string(), kSingleName, kIndexName, advice_for(directory));

  const auto shard_of = read_index(index);
  std::set<std::string> names;
  for (const auto& [tensor, name] : shard_of) names.insert(name);
  SafetensorsSet set;
  std::map<std::string, std::set<std::string>> in_shard;
  for (const std::string& name : names) {
    if (!fs::exists(directory / name, code))
      fail("{}: the shard {} that {} names is missing; is the download complete?", directory.string(), printable(name),
           kIndexName);
    in_shard[name] = set.add(directory / name, required);
  }
  for (const auto& [name, shard] : shard_of)
    if (!in_shard.at(shard).contains(name))
      fail("{}: tensor '{}' is not in {}, where {} says it is", directory.string(), printable(name), printable(shard),
           kIndexName);
  return set;
}

const TensorView* SafetensorsSet::find(std::string_view name) const {
  const auto it = tensors_.find(name);
  return it == tensors_.end() ? nullptr : &it->second;
}

}  // namespace strata::format
