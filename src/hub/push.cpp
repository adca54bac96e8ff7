// Preupload says which files go to the storage of large files, and what the repository has of them.
// Small files travel within the commit, which is lines of JSON.
#include "hub/push.h"

#include <openssl/evp.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/progress.h"
#include "hub/digest.h"

namespace strata::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostFiles = 10'000;
constexpr std::size_t kSampleBytes = 512;                // of a file, by which the hub sees whether it is text
constexpr std::uint64_t kMostWithinCommit = 100u << 20;  // bytes of a small file

std::string base64(std::span<const std::byte> bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

std::string hash_of(const LocalFile& file, bool large, Progress& progress) {
  Digest digest = large ? Digest::sha256() : Digest::git_blob(file.size);
  update_from_file(digest, file.path, [&](std::size_t bytes) { progress.advance(bytes); });
  return digest.hex();
}

void add_file(std::vector<LocalFile>& files, const fs::path& path, const fs::path& root) {
  std::error_code code;
  const std::string name = path.lexically_relative(root).generic_string();
  if (fs::is_symlink(path, code))
    fail("{}: is a link, and what it leads to would be published; put a copy in its place", path.string());
  if (!is_safe_name(name)) fail("{}: the hub takes no files of such a name", path.string());
  if (files.size() == kMostFiles)
    fail("{}: has more than {} files; is it a model's folder?", root.string(), kMostFiles);
  const std::uint64_t size = fs::file_size(path, code);
  if (code) fail("{}: cannot be examined: {}", path.string(), code.message());
  files.push_back({.name = name, .path = path, .size = size});
}

/// How the hub wants a file, and what it has of it.
struct Wanted {
  bool large = false, ignored = false;
  std::string hash = {};  ///< of the file of this name that is there; empty when there is none
};

void ask_how(Client& client, const RepositoryName& repository, std::span<const LocalFile> files,
             std::map<std::string, Wanted>& wanted) {
  const std::string where = "hf:" + repository.text();
  json list = json::array();
  for (const LocalFile& file : files) {
    const MappedFile mapped(file.path);
    const auto sample = mapped.bytes().first(std::min(kSampleBytes, mapped.bytes().size()));
    list.push_back({{"path", file.name}, {"sample", base64(sample)}, {"size", file.size}});
  }
  const std::string text = json_text({{"files", list}});
  const Response response = client.send(post(fmt::format("{}/api/models/{}/preupload/{}", client.settings().endpoint,
                                                         repository.name, percent_encoded(repository.revision, false)),
                                             text, "application/json"));
  if (!response.succeeded()) refuse(response, client.settings(), repository);
  const json answer = parse_json(response.body, where);
  if (!answer.is_object()) fail("{}: the answer is {}, expected an object", where, brief(answer));
  for (const json& file : get<std::vector<json>>(answer, "files", where)) {
    if (!file.is_object()) fail("{}: a file of the answer is {}, expected an object", where, brief(file));
    const auto mode = get<std::string>(file, "uploadMode", where);
    if (mode != "lfs" && mode != "regular")
      fail("{}: the hub wants a file as {}, which is not known", where, brief(mode));
    wanted[get<std::string>(file, "path", where)] = {.large = mode == "lfs",
                                                     .ignored = get_or<bool>(file, "shouldIgnore", false, where),
                                                     .hash = get_or<std::string>(file, "oid", "", where)};
  }
}

std::string line(const char* key, const json& value) { return json_text({{"key", key}, {"value", value}}) + "\n"; }

std::string commit_line(const LocalFile& file, bool large) {
  if (large)
    return line("lfsFile", {{"path", file.name}, {"algo", "sha256"}, {"oid", file.sha256}, {"size", file.size}});
  if (file.size > kMostWithinCommit)
    fail("{}: the hub wants {} bytes within the commit, which is too much; have it tracked by Git LFS", file.name,
         file.size);
  return line("file",
              {{"content", base64(MappedFile(file.path).bytes())}, {"path", file.name}, {"encoding", "base64"}});
}

Pushed send_commit(Client& client, const RepositoryName& repository, const std::string& lines) {
  const std::string where = "hf:" + repository.text();
  const Response response = client.send(post(fmt::format("{}/api/models/{}/commit/{}", client.settings().endpoint,
                                                         repository.name, percent_encoded(repository.revision, false)),
                                             lines, "application/x-ndjson"),
                                        Repeat::if_not_done);  // a commit whose answer was lost would be made twice
  if (!response.succeeded()) refuse(response, client.settings(), repository);
  const json answer = parse_json(response.body, where);
  if (!answer.is_object()) fail("{}: the answer is {}, expected an object", where, brief(answer));
  return {.commit = get<std::string>(answer, "commitOid", where), .url = get<std::string>(answer, "commitUrl", where)};
}

}  // namespace

bool repository_exists(Client& client, const RepositoryName& repository) {
  const Settings& settings = client.settings();
  if (settings.token.empty())
    fail("pushing needs a token that may write: set HF_TOKEN (or run `hf auth login`); {}/settings/tokens makes one",
         settings.endpoint);
  const Response response = client.send({.url = fmt::format("{}/api/models/{}", settings.endpoint, repository.name)});
  if (response.succeeded()) return true;
  if (response.status == 404 || response.header("x-error-code") == "RepoNotFound") return false;
  refuse(response, settings, repository);
}

void create_repository(Client& client, const RepositoryName& repository, bool is_private) {
  const std::size_t slash = repository.name.find('/');
  json asked = {{"name", repository.name.substr(slash == std::string::npos ? 0 : slash + 1)},
                {"organization", slash == std::string::npos ? json() : json(repository.name.substr(0, slash))},
                {"type", "model"}};
  if (is_private) asked["visibility"] = "private";
  const std::string text = asked.dump();
  const Response response = client.send(
      post(client.settings().endpoint + "/api/repos/create", text, "application/json"), Repeat::if_not_done);
  if (!response.succeeded()) refuse(response, client.settings(), repository);
}

std::vector<LocalFile> files_to_push(const fs::path& output) {
  std::error_code code;
  std::vector<LocalFile> files;
  if (fs::is_regular_file(output, code) && output.extension() == ".gguf") {
    add_file(files, output, output.parent_path());
    return files;
  }
  if (!fs::is_directory(output, code)) fail("{}: is neither a folder nor a GGUF file", output.string());
  fs::recursive_directory_iterator it(output, code), end;
  for (; !code && it != end; it.increment(code)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with('.') || name.ends_with(".part")) {
      it.disable_recursion_pending();
    } else if (it->is_symlink(code) || !it->is_directory(code)) {
      add_file(files, it->path(), output);
    }
  }
  if (code) fail("{}: cannot be listed: {}", output.string(), code.message());
  if (files.empty()) fail("{}: holds no files", output.string());
  std::ranges::sort(files, {}, &LocalFile::name);
  return files;
}

Pushed push(Client& client, const RepositoryName& repository, std::vector<LocalFile> files,
            const std::string& message) {
  std::map<std::string, Wanted> wanted;
  for (std::span<const LocalFile> rest(files); !rest.empty();
       rest = rest.subspan(std::min(kFilesOfOneRequest, rest.size())))
    ask_how(client, repository, rest.first(std::min(kFilesOfOneRequest, rest.size())), wanted);
  std::uint64_t bytes = 0;
  for (const LocalFile& file : files) bytes += file.size;
  std::vector<LocalFile> large, small;
  Progress hashing("hash", bytes);
  for (LocalFile& file : files) {
    if (!wanted.contains(file.name)) fail("hf:{}: the hub does not say how it wants {}", repository.text(), file.name);
    const Wanted& how = wanted[file.name];
    if (how.ignored) continue;
    const bool is_large = how.large && file.size > 0;  // storage takes no empty files
    file.sha256 = hash_of(file, is_large, hashing);
    if (file.sha256 != how.hash) (is_large ? large : small).push_back(file);
  }
  if (large.empty() && small.empty()) return {};
  bytes = 0;
  for (const LocalFile& file : large) bytes += file.size;
  std::string lines = line("header", {{"summary", message}, {"description", ""}});
  if (!large.empty()) {
    Progress progress("push " + repository.name, bytes);
    upload(client, repository, large, [&](std::size_t sent) { progress.advance(sent); });
  }
  for (const LocalFile& file : large) lines += commit_line(file, true);
  for (const LocalFile& file : small) {
    lines += commit_line(file, false);
    bytes += file.size;
  }
  Pushed result = send_commit(client, repository, lines);
  result.files = large.size() + small.size();
  result.bytes = bytes;
  return result;
}

}  // namespace strata::hub
