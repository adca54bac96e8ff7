// From "hf:ORG/NAME" to a folder or a GGUF file.
// A snapshot is looked at only for which of the two it is.
#include "hub/model_argument.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "hub/pull.h"

namespace strata::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kScheme = "hf:";

fs::path snapshot_of(const Settings& settings, const RepositoryName& repository) {
  const std::vector<std::string> include =
      repository.file.empty() ? std::vector<std::string>{} : std::vector{repository.file};
  std::string why = "HF_HUB_OFFLINE is set";
  if (!settings.offline) {
    try {
      return pull(settings, repository, include).folder;
    } catch (const Unreachable& e) {
      why = e.what();
    }
  }
  if (const auto folder = cached_snapshot(settings, repository)) return *folder;
  fail("hf:{}: is not in the cache {}, and cannot be fetched: {}", repository.text(), settings.cache.string(), why);
}

/// The GGUF files at the top of a snapshot without config.json, the first part alone of those in parts.
std::vector<fs::path> gguf_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    const std::string name = it->path().filename().string();
    const bool later = name.find("-of-") != name.npos && name.find("-00001-of-") == name.npos;
    if (name.ends_with(".gguf") && !later) files.push_back(it->path());
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace

bool is_on_hub(const std::string& argument) { return argument.starts_with(kScheme); }

std::string without_scheme(const std::string& argument) {
  return is_on_hub(argument) ? argument.substr(kScheme.size()) : argument;
}

fs::path model_path(const fs::path& argument) {
  const std::string text = argument.string();
  if (!is_on_hub(text)) return argument;
  const RepositoryName repository = parse_repository(without_scheme(text));
  if (!repository.file.empty() && !repository.file.ends_with(".gguf"))
    fail_usage("{}: only a GGUF model has a name of its own in a repository; leave out ':{}'", text, repository.file);
  const fs::path folder = snapshot_of(settings_from_environment(), repository);
  std::error_code code;
  if (!repository.file.empty()) {
    if (!fs::exists(folder / repository.file, code))
      fail("{}: the cached snapshot {} has no such file, and the hub was not asked", text, folder.string());
    return folder / repository.file;
  }
  if (fs::exists(folder / "config.json", code)) return folder;
  const std::vector<fs::path> ggufs = gguf_files(folder);
  return ggufs.size() == 1 ? ggufs[0] : folder;
}

}  // namespace strata::hub
