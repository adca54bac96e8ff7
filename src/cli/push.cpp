// strata push: what strata wrote, to a repository of the hub.
// pipeline::push does the work; this file asks before a repository is made, and says what came of it.
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "cli/verb.h"
#include "core/units.h"
#include "pipeline/job/hub.h"

namespace strata::cli {
namespace {

/// Whether a person at a terminal wants a new repository.
bool ask(const std::string& name, const std::string& endpoint, bool is_private) {
  remark("{} is not there (at {}). Make it, {}? [y/N] ", name, endpoint, is_private ? "private" : "for all to see");
  std::fflush(stderr);
  char answer[16] = {};
  return std::fgets(answer, sizeof answer, stdin) != nullptr && (answer[0] == 'y' || answer[0] == 'Y');
}

void run(const pipeline::PushRequest& request, const Common& common) {
  pipeline::MayCreate may_create;
  if (isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0)
    may_create = [&](const std::string& name, const std::string& endpoint) {
      return ask(name, endpoint, request.is_private);
    };
  const pipeline::Published published = pipeline::push(request, may_create);
  print_json(common, to_json(published));
  const hub::Pushed& pushed = published.pushed;
  if (pushed.commit.empty()) return print(common, "{} has all of it already\n", published.repository);
  print(common, "{} files, {}: {}\n", pushed.files, human_bytes(pushed.bytes), pushed.url);
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto request = std::make_shared<pipeline::PushRequest>();
  visit(*request, line);
  return [request, &common] { run(*request, common); };
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
