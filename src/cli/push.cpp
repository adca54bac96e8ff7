// strata push: what strata wrote, to a repository of the hub.
// hub::push does the work; this file asks before a repository is made, and says what came of it.
#include "hub/push.h"

#include <unistd.h>

#include <cstdio>
#include <memory>

#include "cli/verb.h"
#include "core/units.h"
#include "hub/model_argument.h"

namespace strata::cli {
namespace {

struct Options {
  std::string output, repository, message;
  bool create = false, is_private = false;
};

/// Whether a person wants a new repository: by the option, or by an answer on a terminal.
bool may_create(const Options& options, const std::string& name, const std::string& endpoint) {
  if (options.create) return true;
  if (isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0)
    fail(
        "{} is not there (at {}, for this token); --create makes it, --private as well where only its owner may see it",
        name, endpoint);
  remark("{} is not there (at {}). Make it, {}? [y/N] ", name, endpoint,
         options.is_private ? "private" : "for all to see");
  std::fflush(stderr);
  char answer[16] = {};
  return std::fgets(answer, sizeof answer, stdin) != nullptr && (answer[0] == 'y' || answer[0] == 'Y');
}

void run(const Options& options, const Common& common) {
  const hub::RepositoryName repository = hub::parse_repository(hub::without_scheme(options.repository));
  if (!repository.file.empty()) fail_usage("{}: a repository without a file", options.repository);
  std::vector<hub::LocalFile> files = hub::files_to_push(options.output);
  hub::Client client(hub::settings_from_environment());
  if (client.settings().offline) fail("HF_HUB_OFFLINE is set; nothing can be pushed");
  const bool create = !hub::repository_exists(client, repository);
  if (create) {
    if (!may_create(options, repository.name, client.settings().endpoint)) fail("nothing was pushed");
    hub::create_repository(client, repository, options.is_private);
  }
  const std::string message = options.message.empty() ? "Upload by strata" : options.message;
  const hub::Pushed pushed = hub::push(client, repository, std::move(files), message);
  print_json(common, {{"repository", repository.name},
                      {"created", create},
                      {"commit", pushed.commit.empty() ? json() : json(pushed.commit)},
                      {"url", pushed.url.empty() ? json() : json(pushed.url)},
                      {"files", pushed.files},
                      {"bytes", pushed.bytes}});
  if (pushed.commit.empty()) return print(common, "{} has all of it already\n", repository.name);
  print(common, "{} files, {}: {}\n", pushed.files, human_bytes(pushed.bytes), pushed.url);
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto options = std::make_shared<Options>();
  line.option({.name = "OUT", .help = "Folder with its model card, or a GGUF file", .required = true}, options->output);
  line.option({.name = "REPOSITORY", .help = "ORG/NAME[@BRANCH] on the hub", .required = true}, options->repository);
  line.flag({.name = "--create", .help = "Make the repository where it is not there, without asking"}, options->create);
  line.flag({.name = "--private", .help = "A repository that is made is for its owner alone"}, options->is_private);
  line.option({.name = "--message", .help = "Of the commit", .example = "int4"}, options->message);
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb push_verb = {
    "push", "Commit a checkpoint to the hub",
    "  strata push OUT me/model-4bit                    # asks before it makes a repository\n"
    "  strata push OUT me/model-4bit --create --private\n"
    "  strata push model.gguf me/model-GGUF --message \"4.5 bits\"\n"
    "HF_TOKEN, or `hf auth login`, is who pushes.\n",
    setup};

}  // namespace strata::cli
