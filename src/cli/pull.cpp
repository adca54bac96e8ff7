// strata pull: a model from the hub, into the cache that huggingface_hub uses too.
// pipeline::pull does the work; this file says what a person sees of it.
#include <algorithm>
#include <memory>

#include "cli/verb.h"
#include "core/interrupt.h"
#include "core/units.h"
#include "pipeline/job/hub.h"

namespace strata::cli {
namespace {

std::uint64_t bytes_of(const std::vector<hub::RemoteFile>& files) {
  std::uint64_t sum = 0;
  for (const hub::RemoteFile& file : files) sum += file.size;
  return sum;
}

/// What was left out, the largest first, as far as a person would want to read it.
void show_left(std::vector<hub::RemoteFile> files) {
  constexpr std::size_t most = 6;
  if (files.empty()) return;
  std::ranges::stable_sort(files, std::ranges::greater(), &hub::RemoteFile::size);
  std::vector<std::string> names;
  for (const hub::RemoteFile& file : files)
    if (names.size() < most) names.push_back(fmt::format("{} ({})", file.name, human_bytes(file.size)));
  remark("left out: {}{}; --include GLOB takes what you name\n", fmt::join(names, ", "),
         files.size() > most ? fmt::format(" and {} more", files.size() - most) : "");
}

hub::Pulled pull_or_say(const pipeline::PullRequest& request) {
  try {
    return pipeline::pull(request);
  } catch (const Interrupted&) {
    remark("what has arrived is kept; the same command goes on there\n");
    throw;
  }
}

void run(const pipeline::PullRequest& request, const Common& common) {
  const hub::Pulled pulled = pull_or_say(request);
  print_json(common, pipeline::to_json(pulled));
  show_left(pulled.left);
  if (!pulled.taken.empty())
    remark("{} files, {}, of which {} are new\n", pulled.taken.size(), human_bytes(bytes_of(pulled.taken)),
           human_bytes(pulled.fetched));
  print(common, "{}\n", pulled.folder.string());
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto request = std::make_shared<pipeline::PullRequest>();
  visit(*request, line);
  return [request, &common] { run(*request, common); };
}

}  // namespace

extern const Verb pull_verb = {
    "pull", "Fetch a model from the hub",
    "  strata pull Qwen/Qwen3-0.6B                            # prints the folder; hf:Qwen/Qwen3-0.6B names it, too\n"
    "  strata pull Qwen/Qwen3-0.6B@main --include 'tokenizer*' --include config.json\n"
    "  strata pull unsloth/Qwen3-0.6B-GGUF --include '*Q4_K_M*'\n"
    "  strata quantize hf:Qwen/Qwen3-0.6B -o OUT --bits 4.5   # every verb fetches what it needs itself\n"
    "HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_ENDPOINT and HF_HUB_OFFLINE mean what they mean to huggingface_hub.\n",
    setup};

}  // namespace strata::cli
