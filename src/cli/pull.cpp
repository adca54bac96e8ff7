// strata pull: a model from the hub, into the cache that huggingface_hub uses too.
// hub::pull does the work; this file says what a person sees of it.
#include "hub/pull.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "cli/verb.h"
#include "core/interrupt.h"
#include "core/units.h"
#include "hub/model_argument.h"

namespace strata::cli {
namespace {

struct Options {
  std::string repository;
  std::vector<std::string> include;
};

json files_of(const std::vector<hub::RemoteFile>& files) {
  json list = json::array();
  for (const hub::RemoteFile& file : files) list.push_back({{"name", file.name}, {"bytes", file.size}});
  return list;
}

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

hub::Pulled pull_or_say(const hub::Settings& settings, const hub::RepositoryName& repository,
                        const std::vector<std::string>& include) {
  try {
    return hub::pull(settings, repository, include);
  } catch (const Interrupted&) {
    remark("what has arrived is kept; the same command goes on there\n");
    throw;
  }
}

void run(const Options& options, const Common& common) {
  const hub::RepositoryName repository = hub::parse_repository(hub::without_scheme(options.repository));
  std::vector<std::string> include = options.include;
  if (!repository.file.empty()) include.push_back(repository.file);
  const hub::Settings settings = hub::settings_from_environment();
  if (settings.offline) {
    const auto folder = hub::cached_snapshot(settings, repository);
    if (!folder) fail("HF_HUB_OFFLINE is set, and {} does not have {}", settings.cache.string(), repository.text());
    print_json(common, {{"path", folder->string()}, {"fetched_bytes", 0}});
    return print(common, "{}\n", folder->string());
  }
  const hub::Pulled pulled = pull_or_say(settings, repository, include);
  print_json(common, {{"path", pulled.folder.string()},
                      {"commit", pulled.commit},
                      {"fetched_bytes", pulled.fetched},
                      {"files", files_of(pulled.taken)},
                      {"left_out", files_of(pulled.left)}});
  show_left(pulled.left);
  remark("{} files, {}, of which {} are new\n", pulled.taken.size(), human_bytes(bytes_of(pulled.taken)),
         human_bytes(pulled.fetched));
  print(common, "{}\n", pulled.folder.string());
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto options = std::make_shared<Options>();
  line.option({.name = "REPOSITORY", .help = "ORG/NAME[@REVISION] on the hub", .required = true}, options->repository);
  line.list({.name = "--include",
             .help = "Take the files that match this pattern and no others; may be given several times",
             .example = "*.gguf"},
            options->include);
  return [options, &common] { run(*options, common); };
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
