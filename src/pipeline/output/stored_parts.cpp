// Notes are lines of the job's journal. A file without a note is on disk as a whole when it has its own name, and else
// not at all.
#include "pipeline/output/stored_parts.h"

#include <algorithm>

#include "core/file.h"

namespace strata::pipeline {
namespace {

bool is_there(const std::filesystem::path& path) {
  std::error_code code;
  return std::filesystem::exists(path, code);
}

}  // namespace

StoredParts::StoredParts(JobFolder& job, double note_seconds)
    : job_(job), seconds_(note_seconds), last_(std::chrono::steady_clock::now()) {
  const std::string where = job.file("journal").string();
  for (const json& unit : job.finished())
    if (unit.contains("file"))
      parts_[get<std::string>(unit, "file", where)] = {get<std::uint64_t>(unit, "tensors", where),
                                                       get<std::uint64_t>(unit, "bytes", where)};
}

StoredPart StoredParts::of(const std::string& file) const {
  const auto it = parts_.find(file);
  return it == parts_.end() ? StoredPart{} : it->second;
}

bool StoredParts::due() {
  const auto now = std::chrono::steady_clock::now();
  if (std::chrono::duration<double>(now - last_).count() < seconds_) return false;
  last_ = now;
  return true;
}

void StoredParts::note(const std::string& file, StoredPart part, json linears) {
  json unit = {{"file", file}, {"tensors", part.tensors}, {"bytes", part.bytes}};
  if (!linears.empty()) unit["linears"] = std::move(linears);
  job_.append(unit);
}

json StoredParts::linears() const {
  json all = json::array();
  for (const json& unit : job_.finished())
    if (const auto it = unit.find("linears"); it != unit.end() && it->is_array())
      for (const json& linear : *it) all.push_back(linear);
  return all;
}

std::vector<bool> stored_linears(const Output& output, const model::Architecture& a, const std::filesystem::path& path,
                                 const StoredParts& parts) {
  std::map<std::filesystem::path, bool> complete;
  const auto is_stored = [&](const Place& place) {
    const auto [it, fresh] = complete.try_emplace(place.file);
    if (fresh) it->second = is_there(place.file);
    return it->second || place.tensor < parts.of(place.file.filename().string()).tensors;
  };
  std::vector<bool> stored;
  for (std::size_t l = 0; l < a.linears.size(); ++l)
    stored.push_back(std::ranges::all_of(output.places(l, path), is_stored));
  return stored;
}

std::size_t stored_blocks(const Output& output, const model::Architecture& a, const std::filesystem::path& path,
                          const StoredParts& parts) {
  const std::vector<bool> stored = stored_linears(output, a, path, parts);
  const auto first = static_cast<std::size_t>(std::ranges::find(stored, false) - stored.begin());
  return first == stored.size() ? a.blocks : std::min(a.linears[first].block, a.blocks);
}

void read_stored(const Place& place, std::span<std::byte> bytes) {
  std::filesystem::path path = place.file;
  if (!is_there(path)) path += ".part";
  const MappedFile file(path);
  if (file.bytes().size() < place.offset + bytes.size())
    fail("{}: is shorter than its journal tells; use --restart to begin again", path.string());
  std::ranges::copy(file.bytes().subspan(place.offset, bytes.size()), bytes.begin());
}

}  // namespace strata::pipeline
