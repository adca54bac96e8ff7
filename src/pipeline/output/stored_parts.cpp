// Notes are lines of the job's journal; the last one of a file counts.
#include "pipeline/output/stored_parts.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "core/file.h"
#include "pipeline/output/gguf_checkpoint.h"

namespace strata::pipeline {
namespace {

constexpr double kNoteSeconds = 2.0;

double note_seconds() {
  const char* const text = std::getenv("STRATA_NOTE_SECONDS");
  return text == nullptr ? kNoteSeconds : std::atof(text);
}

/// A tensor of the output: its file, its place in it and in the list of the file's tensors.
struct Place {
  std::string file;
  std::size_t tensor;
  std::uint64_t offset;
};

/// The parts of every linear that has codes, by index; the files in their order.
std::vector<std::vector<Place>> folder_places(const model::Architecture& a, const CheckpointLayout& layout) {
  std::map<std::string, std::size_t> by_module;
  for (std::size_t l = 0; l < a.linears.size(); ++l) by_module[a.linears[l].module] = l;
  std::vector<std::vector<Place>> places(a.linears.size());
  for (std::size_t s = 0; s < layout.shards.size(); ++s) {
    std::uint64_t offset = format::safetensors_header(layout.shards[s]).size();
    for (std::size_t t = 0; t < layout.shards[s].size(); ++t) {
      const format::TensorSpec& spec = layout.shards[s][t];
      const auto it = by_module.find(spec.name.substr(0, spec.name.rfind('.')));
      if (it != by_module.end() && !spec.name.ends_with(".bias"))
        places[it->second].push_back({format::shard_name(s, layout.shards.size()), t, offset});
      offset += spec.bytes();
    }
  }
  return places;
}

std::vector<std::vector<Place>> gguf_places(const model::Architecture& a, const GgufPlan& plan,
                                            const std::vector<std::filesystem::path>& files) {
  std::vector<std::vector<Place>> places(a.linears.size());
  for (std::size_t p = 0; p < plan.parts.size(); ++p)
    for (std::size_t t = 0; t < plan.parts[p].origins.size(); ++t)
      for (const std::size_t l : linears_of(plan.parts[p].origins[t]))
        places[l].push_back({files[p].filename().string(), t, 0});
  return places;
}

/// A file that is complete or not yet.
std::filesystem::path existing(std::filesystem::path path) {
  std::error_code code;
  if (!std::filesystem::exists(path, code)) path += ".part";
  return path;
}

codec::Stored read_parts(const codec::Codec& codec, const model::Linear& linear, const std::vector<Place>& places,
                         const std::filesystem::path& folder) {
  codec::Stored stored = codec::allocate(codec, linear.rows, linear.cols);
  for (std::size_t i = 0; i < places.size(); ++i) {
    const std::filesystem::path path = existing(folder / places[i].file);
    const MappedFile file(path);
    if (file.bytes().size() < places[i].offset + stored.parts[i].size())
      fail("{}: is shorter than its journal tells; use --restart to begin again", path.string());
    std::ranges::copy(file.bytes().subspan(places[i].offset, stored.parts[i].size()), stored.parts[i].begin());
  }
  return stored;
}

/// Blocks before the first linear of which a part is not on disk.
std::size_t complete_blocks(const model::Architecture& a, const std::vector<std::vector<Place>>& places,
                            const StoredParts& parts, const std::filesystem::path& folder) {
  std::set<std::string> complete;
  for (const auto& of_linear : places)
    for (const Place& place : of_linear) {
      std::error_code code;
      if (std::filesystem::exists(folder / place.file, code)) complete.insert(place.file);
    }
  for (std::size_t l = 0; l < places.size(); ++l)
    for (const Place& place : places[l])
      if (!complete.contains(place.file) && place.tensor >= parts.of(place.file).tensors)
        return std::min(a.linears[l].block, a.blocks);
  return a.blocks;
}

}  // namespace

StoredParts::StoredParts(JobFolder& job)
    : job_(job), seconds_(note_seconds()), last_(std::chrono::steady_clock::now()) {
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

StoredLinears stored_linears(const model::Model& model, const Plan& plan, const Target& target,
                             std::uint64_t shard_bytes, JobFolder& job) {
  const model::Architecture& a = model.architecture();
  const auto codecs = codecs_by_linear(plan, a);
  const StoredParts parts(job);
  const std::filesystem::path result = job.result();
  std::function<codec::Stored(std::size_t)> read;
  std::vector<std::vector<Place>> places;
  if (target.gguf) {
    auto parts_of = std::make_shared<GgufPlan>(plan_gguf(model, gguf_choice(model, plan, shard_bytes)));
    const auto files = gguf_files(*parts_of, result);
    places = gguf_places(a, *parts_of, files);
    read = [&model, parts_of, places, files](std::size_t l) {
      const Place& place = places[l].at(0);
      const auto file = std::ranges::find(files, place.file, [](const auto& path) { return path.filename().string(); });
      return read_gguf_linear(model, parts_of->parts[static_cast<std::size_t>(file - files.begin())], place.tensor, l,
                              existing(*file));
    };
  } else {
    places = folder_places(a, lay_out(model, plan, target, shard_bytes, {}));
    read = [&a, codecs, places, result](std::size_t l) {
      return read_parts(*codecs[l], a.linears[l], places[l], result);
    };
  }
  StoredLinears stored;
  stored.blocks = complete_blocks(a, places, parts, target.gguf ? result.parent_path() : result);
  stored.linear = std::move(read);
  return stored;
}

}  // namespace strata::pipeline
