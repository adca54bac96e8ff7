// The hub layer does the work; what is asked of it, and what is told of it, is the same on the command line and in
// Python.
#include "pipeline/job/hub.h"

#include "hub/model_argument.h"

namespace strata::pipeline {
namespace {

json files_of(const std::vector<hub::RemoteFile>& files) {
  json list = json::array();
  for (const hub::RemoteFile& file : files) list.push_back({{"name", file.name}, {"bytes", file.size}});
  return list;
}

json known_text(const std::string& text) { return text.empty() ? json() : json(text); }

}  // namespace

void visit(PullRequest& r, OptionVisitor& v) {
  v.option({.name = "REPOSITORY", .help = "ORG/NAME[@REVISION] on the hub", .required = true}, r.repository);
  v.list({.name = "--include",
          .help = "Take the files that match this pattern and no others; may be given several times",
          .example = "*.gguf"},
         r.include);
}

hub::Pulled pull(const PullRequest& request) {
  const hub::RepositoryName repository = hub::parse_repository(hub::without_scheme(request.repository));
  const hub::Settings settings = hub::settings_from_environment();
  if (settings.offline) {
    const auto folder = hub::cached_snapshot(settings, repository);
    if (!folder) fail("HF_HUB_OFFLINE is set, and {} does not have {}", settings.cache.string(), repository.text());
    return {.folder = *folder};
  }
  std::vector<std::string> include = request.include;
  if (!repository.file.empty()) include.push_back(repository.file);
  return hub::pull(settings, repository, include);
}

json to_json(const hub::Pulled& pulled) {
  if (pulled.commit.empty()) return {{"path", pulled.folder.string()}, {"fetched_bytes", 0}};
  return {{"path", pulled.folder.string()},
          {"commit", pulled.commit},
          {"fetched_bytes", pulled.fetched},
          {"files", files_of(pulled.taken)},
          {"left_out", files_of(pulled.left)}};
}

void visit(PushRequest& r, OptionVisitor& v) {
  v.option({.name = "OUT", .help = "Folder with its model card, or a GGUF file", .required = true}, r.output);
  v.option({.name = "REPOSITORY", .help = "ORG/NAME[@BRANCH] on the hub", .required = true}, r.repository);
  v.flag({.name = "--create", .help = "Make the repository where it is not there, without asking"}, r.create);
  v.flag({.name = "--private", .help = "A repository that is made is for its owner alone"}, r.is_private);
  v.option({.name = "--message", .help = "Of the commit", .example = "int4"}, r.message);
}

Published push(const PushRequest& request, const MayCreate& may_create) {
  const hub::RepositoryName repository = hub::parse_repository(hub::without_scheme(request.repository));
  if (!repository.file.empty()) fail_usage("{}: a repository without a file", request.repository);
  std::vector<hub::LocalFile> files = hub::files_to_push(request.output);
  hub::Client client(hub::settings_from_environment());
  if (client.settings().offline) fail("HF_HUB_OFFLINE is set; nothing can be pushed");
  const std::string& endpoint = client.settings().endpoint;
  Published result{.repository = repository.name, .created = !hub::repository_exists(client, repository), .pushed = {}};
  if (result.created) {
    if (!request.create && may_create == nullptr)
      fail(
          "{} is not there (at {}, for this token); --create makes it, --private as well where only its owner may see "
          "it",
          repository.name, endpoint);
    if (!request.create && !may_create(repository.name, endpoint)) fail("nothing was pushed");
    hub::create_repository(client, repository, request.is_private);
  }
  result.pushed =
      hub::push(client, repository, std::move(files), request.message.empty() ? "Upload by strata" : request.message);
  return result;
}

json to_json(const Published& published) {
  const hub::Pushed& pushed = published.pushed;
  return {{"repository", published.repository}, {"created", published.created}, {"commit", known_text(pushed.commit)},
          {"url", known_text(pushed.url)},      {"files", pushed.files},        {"bytes", pushed.bytes}};
}

}  // namespace strata::pipeline
