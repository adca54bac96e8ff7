// Names, lists of files, and addresses.
// The hub's own address of a list is /api/models/ORG/NAME/revision/REVISION?blobs=true.
#include "hub/repository.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "core/json.h"

namespace strata::hub {
namespace {

constexpr std::string_view kUsualRevision = "main";

bool is_hex(const std::string& text, std::size_t digits) {
  return text.size() == digits &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

RemoteFile parse_file(const json& value, const std::string& where) {
  if (!value.is_object()) fail("{}: a file of the repository is {}, expected an object", where, brief(value));
  RemoteFile file{.name = get<std::string>(value, "rfilename", where)};
  if (!is_safe_name(file.name))
    fail("{}: the repository has a file named {}, which would lie outside of its folder; it is not safe to pull", where,
         brief(file.name));
  const std::string whose = where + ": " + file.name;
  const json lfs = get_or<json>(value, "lfs", nullptr, whose);
  if (!lfs.is_null() && !lfs.is_object()) fail("{}: 'lfs' is {}, expected an object", whose, brief(lfs));
  file.size = get<std::uint64_t>(lfs.is_null() ? value : lfs, "size", whose);
  file.etag = lfs.is_null() ? get<std::string>(value, "blobId", whose) : get<std::string>(lfs, "sha256", whose);
  if (!is_hex(file.etag, lfs.is_null() ? 40 : 64)) fail("{}: {} is no hash", whose, brief(file.etag));
  return file;
}

/// A name and a folder of that name cannot both be on a disk.
void check_names(const std::vector<RemoteFile>& files, const std::string& where) {
  std::set<std::string> names;
  for (const RemoteFile& file : files)
    if (!names.insert(file.name).second) fail("{}: lists {} twice", where, file.name);
  for (const RemoteFile& file : files)
    for (std::size_t slash = file.name.find('/'); slash != std::string::npos; slash = file.name.find('/', slash + 1))
      if (names.contains(file.name.substr(0, slash)))
        fail("{}: {} is a file and a folder", where, file.name.substr(0, slash));
}

}  // namespace

bool is_repository_name(const std::string& name) {
  const auto is_word = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; };
  const std::size_t slash = name.find('/');
  if (name.size() > 96 || name.find("--") != name.npos || name.find("..") != name.npos || name.ends_with(".git"))
    return false;
  for (const std::string& part : {name.substr(0, slash), slash == name.npos ? "x" : name.substr(slash + 1)}) {
    if (part.empty() || !std::ranges::all_of(part, is_word)) return false;
    if (std::string_view("-.").find(part.front()) != std::string_view::npos) return false;
    if (std::string_view("-.").find(part.back()) != std::string_view::npos) return false;
  }
  return true;
}

bool is_safe_name(const std::string& name) {
  if (name.empty() || name.size() > 1024) return false;
  if (std::ranges::any_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7F || c == '\\'; })) return false;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = std::string_view(name).substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
    begin = end + 1;
  }
  return true;
}

std::string RepositoryName::text() const {
  return name + (revision == kUsualRevision ? "" : "@" + revision) + (file.empty() ? "" : ":" + file);
}

RepositoryName parse_repository(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string before = text.substr(0, colon);
  const std::size_t at = before.find('@');
  RepositoryName result{.name = before.substr(0, at)};
  if (at != std::string::npos) result.revision = before.substr(at + 1);
  if (colon != std::string::npos) result.file = text.substr(colon + 1);
  if (!is_repository_name(result.name))
    fail_usage("'{}': expected the name of a repository on the hub, ORG/NAME[@REVISION][:FILE]", text);
  if (!is_safe_name(result.revision)) fail_usage("'{}': '{}' is no revision", text, result.revision);
  if (colon != std::string::npos && !is_safe_name(result.file))
    fail_usage("'{}': '{}' is no file of a repository", text, result.file);
  return result;
}

Revision parse_revision(const std::string& body, const std::string& where) {
  const json value = parse_json(body, where);
  if (!value.is_object()) fail("{}: the answer is {}, expected an object", where, brief(value));
  Revision result{.commit = get<std::string>(value, "sha", where), .files = {}};
  if (!is_hex(result.commit, 40)) fail("{}: {} is no commit", where, brief(result.commit));
  for (const json& file : get<std::vector<json>>(value, "siblings", where))
    result.files.push_back(parse_file(file, where));
  check_names(result.files, where);
  return result;
}

Revision fetch_revision(Client& client, const RepositoryName& repository) {
  const Settings& settings = client.settings();
  constexpr std::size_t attempts = 3;  // a copy in the cache may serve, so nobody waits long for a hub that is away
  const Response response =
      client.send({.url = fmt::format("{}/api/models/{}/revision/{}?blobs=true", settings.endpoint, repository.name,
                                      percent_encoded(repository.revision, false))},
                  Repeat::always, attempts);
  if (!response.succeeded()) refuse(response, settings, repository);
  return parse_revision(response.body, fmt::format("hf:{} at {}", repository.text(), response.host));
}

std::string file_url(const Settings& settings, const RepositoryName& repository, const std::string& commit,
                     const std::string& file) {
  return fmt::format("{}/{}/resolve/{}/{}", settings.endpoint, repository.name, commit, percent_encoded(file, true));
}

}  // namespace strata::hub
