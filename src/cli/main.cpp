// The program: parses the command line, runs a verb, and turns every failure into one sentence and an exit code.
// 0: done; 1: the input or the environment is at fault; 2: the command line is.
#include <cstdio>
#include <new>
#include <nlohmann/json.hpp>

#include "cli/verb.h"
#include "core/cpu.h"
#include "core/interrupt.h"
#include "core/threads.h"
#include "pipeline/report/data.h"

namespace {

using namespace strata;

int run(int argc, char** argv) {
  CLI::App app{
      "Give it a language model and a size; get back the best model that fits, for vLLM,\n"
      "transformers and llama.cpp, made on a plain CPU.",
      "strata"};
  app.set_version_flag("--version", "strata " STRATA_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(30);
  app.footer(
      "MODEL is a Hugging Face folder or a GGUF file. `strata VERB --help` has examples.\n"
      "Environment: STRATA_ISA=portable|avx2|avx512|avx512bf16 forces an instruction set.");
  cli::Common common;
  std::vector<std::string> words(argv, argv + argc);
  if (!words.empty()) words[0] = "strata";
  common.command = pipeline::shell_command(words);
  std::function<void()> action;
  for (const cli::Verb& verb : cli::verbs()) {
    CLI::App* sub = app.add_subcommand(verb.name, verb.summary);
    sub->add_flag("--json", common.json_output, "Print the result as JSON on stdout");
    sub->add_option("--threads", common.threads, "Threads (0: all CPUs); never changes a result")
        ->check(CLI::Range(0, 1024));
    sub->add_option("--seed", common.seed, "Seed of everything random")->capture_default_str();
    sub->footer(std::string("Examples:\n") + verb.examples);
    sub->callback([&action, run_verb = verb.setup(*sub, common)] { action = run_verb; });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    std::fprintf(stderr, "strata: %s\nRun `strata --help` or `strata VERB --help`.\n", e.what());
    return 2;
  }
  install_interrupt_handler();
  set_thread_count(common.threads);
  selected_isa();
  action();
  if (std::fflush(stdout) != 0) fail("standard output: writing failed");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const strata::UsageError& e) {
    std::fprintf(stderr, "strata: %s\n", e.what());
    return 2;
  } catch (const strata::Interrupted&) {
    std::fputs("strata: interrupted\n", stderr);
    return 1;
  } catch (const strata::Error& e) {
    std::fprintf(stderr, "strata: %s\n", e.what());
    return 1;
  } catch (const std::bad_alloc&) {
    std::fputs("strata: not enough memory\n", stderr);
    return 1;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "strata: %s\n", e.what());
    return 1;
  }
}
