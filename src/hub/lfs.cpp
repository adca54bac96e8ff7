// The hub is asked where each file goes; the storage behind those addresses never sees the token.
// Files are mapped, so that a body of any size takes no memory of its own.
#include "hub/lfs.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

namespace strata::hub {
namespace {

constexpr const char* kLfsType = "application/vnd.git-lfs+json";

/// An address that the hub gives. Where the endpoint is a mirror, addresses of the hub itself lead to the mirror.
std::string address_of(const json& action, const Settings& settings, const std::string& where) {
  std::string url = get<std::string>(action, "href", where);
  if (const std::string usual = Settings{}.endpoint; url.starts_with(usual + "/"))
    url.replace(0, usual.size(), settings.endpoint);
  if (settings.endpoint.starts_with("https:") && !origin_of(url).starts_with("https:"))
    fail("{}: the hub gives an address for it that is not encrypted", where);
  return url;
}

class Upload {
 public:
  Upload(Client& client, const RepositoryName& repository, const LocalFile& file,
         const std::function<void(std::size_t)>& on_bytes)
      : client_(client),
        repository_(repository),
        file_(file),
        on_bytes_(on_bytes),
        where_(fmt::format("hf:{}: {}", repository.text(), file.name)) {}

  /// actions: where to, as the hub answers.
  void run(const json& actions) {
    const MappedFile mapped(file_.path);
    if (mapped.bytes().size() != file_.size) fail("{}: has changed while it was pushed", file_.path.string());
    const json action = get<json>(actions, "upload", where_), header = get_or<json>(action, "header", {}, where_);
    const std::string url = address_of(action, client_.settings(), where_);
    if (header.is_object() && header.contains("chunk_size"))
      in_parts(mapped.bytes(), header, url);
    else
      put(url, mapped.bytes());
    const json verify = get_or<json>(actions, "verify", nullptr, where_);
    if (verify.is_null()) return;
    const std::string text = json({{"oid", file_.sha256}, {"size", file_.size}}).dump();
    check(client_.send(post(address_of(verify, client_.settings(), where_), text, kLfsType)));
  }

 private:
  void check(const Response& response) const {
    if (!response.succeeded()) refuse(response, client_.settings(), repository_, file_.name);
  }

  Response put(const std::string& url, std::span<const std::byte> bytes) const {
    std::size_t sent = 0;
    const auto on_sent = [&](std::size_t size) {
      const std::span<const std::byte> rest = bytes.subspan(std::min(sent, bytes.size()));  // it may be sent again
      MappedFile::drop(rest.first(std::min(size, rest.size())));
      sent += size;
      on_bytes_(size);
    };
    Response response = client_.send({.method = Method::put, .url = url, .body = bytes, .on_sent = on_sent});
    check(response);
    return response;
  }

  void in_parts(std::span<const std::byte> bytes, const json& header, const std::string& url) const {
    const std::string text =
        header["chunk_size"].is_string() ? header["chunk_size"].get<std::string>() : header["chunk_size"].dump();
    std::size_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc() || end != text.data() + text.size() || size == 0)
      fail("{}: the hub asks for parts of {} bytes", where_, brief(header["chunk_size"]));
    json parts = json::array();
    for (std::size_t at = 0; at < bytes.size(); at += std::min(size, bytes.size() - at)) {
      const std::string number = fmt::format("{}", parts.size() + 1);
      const json part = {{"href", get<std::string>(header, number.c_str(), where_)}};
      const auto piece = bytes.subspan(at, std::min(size, bytes.size() - at));
      const Response response = put(address_of(part, client_.settings(), where_), piece);
      if (response.header("etag").empty()) fail("{}: {} does not confirm part {}", where_, response.host, number);
      parts.push_back({{"partNumber", parts.size() + 1}, {"etag", response.header("etag")}});
    }
    const std::string whole = json({{"oid", file_.sha256}, {"parts", parts}}).dump();
    check(client_.send(post(url, whole, kLfsType)));
  }

  Client& client_;
  const RepositoryName& repository_;
  const LocalFile& file_;
  const std::function<void(std::size_t)>& on_bytes_;
  const std::string where_;
};

json ask_where(Client& client, const RepositoryName& repository, std::span<const LocalFile> files,
               const std::string& where) {
  json objects = json::array();
  for (const LocalFile& file : files) objects.push_back({{"oid", file.sha256}, {"size", file.size}});
  const std::string text = json({{"operation", "upload"},
                                 {"transfers", {"basic", "multipart"}},
                                 {"objects", objects},
                                 {"hash_algo", "sha256"},
                                 {"ref", {{"name", repository.revision}}}})
                               .dump();
  Request request = post(fmt::format("{}/{}.git/info/lfs/objects/batch", client.settings().endpoint, repository.name),
                         text, kLfsType);
  request.headers.emplace_back("Accept", kLfsType);
  const Response response = client.send(request);
  if (!response.succeeded()) refuse(response, client.settings(), repository);
  const json answer = parse_json(response.body, where);
  if (!answer.is_object()) fail("{}: the answer is {}, expected an object", where, brief(answer));
  if (const auto transfer = get_or<std::string>(answer, "transfer", "basic", where);
      transfer != "basic" && transfer != "multipart")
    fail(
        "{}: takes large files by the protocol '{}' only, which strata does not speak: push with `hf upload {} FOLDER`",
        where, brief(transfer), repository.name);
  return get<json>(answer, "objects", where);
}

}  // namespace

void upload(Client& client, const RepositoryName& repository, std::span<const LocalFile> files,
            const std::function<void(std::size_t)>& on_bytes) {
  const std::string where = "hf:" + repository.text();
  for (; !files.empty(); files = files.subspan(std::min(kFilesOfOneRequest, files.size()))) {
    const auto some = files.first(std::min(kFilesOfOneRequest, files.size()));
    const json objects = ask_where(client, repository, some, where);
    for (const LocalFile& file : some) {
      const auto it = std::ranges::find_if(objects, [&](const json& object) {
        return object.is_object() && object.contains("oid") && object["oid"] == json(file.sha256);
      });
      const std::string whose = fmt::format("{}: {}", where, file.name);
      if (it == objects.end()) fail("{}: the hub does not say where it goes", whose);
      if (it->contains("error")) fail("{}: the hub does not take it: {}", whose, brief((*it)["error"]));
      const json actions = get_or<json>(*it, "actions", nullptr, whose);
      if (actions.is_object())
        Upload(client, repository, file, on_bytes).run(actions);
      else
        on_bytes(file.size);  // the storage has it
    }
  }
}

}  // namespace strata::hub
