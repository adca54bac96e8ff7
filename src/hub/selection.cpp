// Two tables, of what belongs to every model and of weights, and the patterns of --include.
// What is in neither table (pictures, other frameworks' weights) is left out.
#include "hub/selection.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "core/error.h"
#include "core/units.h"

namespace strata::hub {
namespace {

/// Files beside the weights. A pattern without a slash is for names at the top of the repository.
constexpr auto kBeside = std::to_array<const char*>({
    "*.json", "*.txt", "*.model", "*.tiktoken", "*.bpe", "*.vocab", "*.spm",  // configuration, tokenizers
    "*.jinja", "additional_chat_templates/*.jinja",                           // chat templates
    "*.py",                                                                   // code of models that bring their own
    "*.md", "LICEN[CS]E*", "NOTICE*", "USE_POLICY*", "COPYING*",              // card, licence
});

bool matches(const char* pattern, const std::string& name, bool slashes) {
  return fnmatch(pattern, name.c_str(), slashes ? 0 : FNM_PATHNAME | FNM_PERIOD) == 0;
}

bool is_beside(const RemoteFile& file) {
  return std::ranges::any_of(kBeside, [&](const char* pattern) { return matches(pattern, file.name, false); });
}

/// Weights at the top by their ending; the same tensors under Mistral's own names do not count beside others.
std::vector<std::string> weights(std::span<const RemoteFile> files, const char* pattern) {
  std::vector<std::string> names;
  for (const RemoteFile& file : files)
    if (matches(pattern, file.name, false)) names.push_back(file.name);
  const auto is_own = [](const std::string& name) { return name.starts_with("consolidated"); };
  if (!std::ranges::all_of(names, is_own)) std::erase_if(names, is_own);
  return names;
}

/// "model" of "model-00002-of-00003.gguf", and of "model.gguf".
std::string gguf_stem(const std::string& name) {
  constexpr std::string_view ending = ".gguf", shape = "-00000-of-00000.gguf";
  const bool in_parts = fnmatch("*-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9].gguf", name.c_str(), 0) == 0;
  return name.substr(0, name.size() - (in_parts ? shape.size() : ending.size()));
}

std::string list_of(std::span<const RemoteFile> files) {
  constexpr std::size_t most = 20;
  std::string text;
  for (std::size_t i = 0; i < std::min(files.size(), most); ++i)
    text += fmt::format("{}{} ({})", i == 0 ? "" : ", ", files[i].name, human_bytes(files[i].size));
  return files.size() > most ? fmt::format("{} and {} more", text, files.size() - most) : text;
}

/// The names of the only GGUF model; empty where there is none.
std::vector<std::string> only_gguf(std::span<const RemoteFile> files, const std::string& where) {
  std::vector<RemoteFile> found;
  std::vector<std::string> names;
  std::set<std::string> stems;
  for (const RemoteFile& file : files)
    if (file.name.ends_with(".gguf")) {
      if (stems.insert(gguf_stem(file.name)).second) found.push_back(file);
      names.push_back(file.name);
    }
  if (stems.size() > 1)
    fail("{}: holds several GGUF models; name one, as hf:ORG/NAME:FILE or to pull with --include FILE. There are {}",
         where, list_of(found));
  return names;
}

std::set<std::string> wanted(std::span<const RemoteFile> files, std::span<const std::string> include,
                             const std::string& where) {
  std::set<std::string> names;
  for (const std::string& pattern : include) {
    bool any = false;
    for (const RemoteFile& file : files) {
      const bool part = pattern.ends_with(".gguf") && file.name.ends_with(".gguf") &&
                        gguf_stem(file.name) == gguf_stem(pattern) && gguf_stem(pattern) + ".gguf" != pattern;
      if (!part && !matches(pattern.c_str(), file.name, true)) continue;
      names.insert(file.name);
      any = true;
    }
    if (!any) fail("{}: has no file {}; there are {}", where, pattern, list_of(files));
  }
  if (!include.empty()) return names;
  for (const RemoteFile& file : files)
    if (is_beside(file)) names.insert(file.name);
  std::vector<std::string> tensors = weights(files, "*.safetensors");
  if (tensors.empty()) tensors = weights(files, "*.bin");
  if (tensors.empty()) tensors = only_gguf(files, where);
  names.insert(tensors.begin(), tensors.end());
  return names;
}

}  // namespace

Selection select(std::span<const RemoteFile> files, std::span<const std::string> include, const std::string& where) {
  const std::set<std::string> names = wanted(files, include, where);
  Selection result;
  for (const RemoteFile& file : files) (names.contains(file.name) ? result.taken : result.left).push_back(file);
  return result;
}

}  // namespace strata::hub
