// strata generate and strata chat: text from a model, printed as it comes.
// Both read any model that strata reads, quantized ones from their packed weights.
#include <chrono>
#include <iostream>
#include <memory>

#include "cli/options.h"
#include "core/file.h"
#include "core/seconds.h"
#include "engine/sampler.h"
#include "hub/model_argument.h"
#include "model/chat_template.h"
#include "model/tokenizer.h"
#include "pipeline/job/precision.h"

namespace strata::cli {
namespace {

struct Options {
  std::string model, prompt, prompt_file, system;
  std::size_t max_tokens = 128;
  double temperature = 0.0, top_p = 1.0;
  bool chat = false;
  std::uint64_t seed = 0;
  kernel::Precision precision = kernel::Precision::bf16;
  bool exact = false;

  /// How keys and values are kept; activations of 8 bits go with bf16.
  DType kept() const { return exact || precision == kernel::Precision::f32 ? DType::f32 : DType::bf16; }
};

void declare_shared(CommandLine& line, Options& options) {
  line.option({.name = "MODEL", .help = hub::kModelArgument, .required = true}, options.model);
  line.option({.name = "--max-tokens",
               .help = "Most tokens to generate",
               .example = "64",
               .least = 1,
               .most = 1 << 20,
               .letter = "-n",
               .aliases = "--tokens"},
              options.max_tokens);
  line.option({.name = "--temperature",
               .help = "Randomness of the choice; 0: always the most likely token",
               .example = "0.7",
               .most = 100},
              options.temperature);
  line.option({.name = "--top-p",
               .help = "Sample from the likeliest tokens with this total probability",
               .example = "0.9",
               .most = 1},
              options.top_p);
  line.option({.name = "--seed", .help = "Seed of the sampling", .example = "1"}, options.seed);
  line.option({.name = "--system", .help = "System message of a chat", .example = "Answer in French."}, options.system);
  pipeline::declare_precision(options.precision, line);
  line.flag(
      {.name = "--exact",
       .help = "Keep keys and values of earlier tokens in f32, as --precision f32 does, not in bf16, and activations "
               "as they are, not in 8 bits"},
      options.exact);
}

model::Model open_to_run(const std::string& path) {
  model::Model model = model::Model::open(path);
  model.require_runnable();
  return model;
}

/// A model that is ready to talk.
struct Talker {
  model::Model model;
  model::NamedTexts files = model::tokenizer_files(model);
  model::Tokenizer tokenizer = model::Tokenizer::from_files(files, model.path().string());

  model::ChatTemplate chat_template() const {
    auto found = model::ChatTemplate::from_files(files, model.path().string());
    if (!found) fail("{}: has no chat template; strata generate continues plain text", model.path().string());
    return *std::move(found);
  }
};

struct Answer {
  std::string text;
  std::size_t prompt_tokens, tokens;
  double seconds;
};

Answer answer(engine::Engine& engine, const Talker& talker, const std::vector<engine::Token>& prompt,
              const Options& options, bool stream) {
  model::StreamDecoder decoder(talker.tokenizer);
  Answer result{"", prompt.size(), 0, 0};
  const auto begin = std::chrono::steady_clock::now();
  const auto give = [&](const std::string& piece) {
    result.text += piece;
    if (!stream) return;
    fmt::print("{}", piece);
    std::fflush(stdout);
  };
  const engine::Sampling sampling{options.temperature, options.top_p, options.seed};
  const auto tokens = engine::generate(
      engine, prompt, options.max_tokens, sampling, talker.tokenizer.eos(),
      [&](engine::Token token) {
        give(decoder.push(token));
        return true;
      },
      options.kept());
  give(decoder.finish());
  result.tokens = tokens.size();
  const std::size_t most = engine.architecture().learned.positions;
  if (most != 0 && prompt.size() + tokens.size() > most)
    remark("\nstopped: these are all of the {} positions that this model has learned\n", most);
  result.seconds = seconds_since(begin);
  return result;
}

std::vector<model::ChatMessage> opening(const Options& options) {
  if (options.system.empty()) return {};
  return {{"system", options.system}};
}

void run_generate(const Options& options, const Common& common) {
  if (options.prompt.empty() == options.prompt_file.empty())
    fail_usage("give a prompt: strata generate {} \"TEXT\", or --prompt-file FILE in its place", options.model);
  const std::string prompt = options.prompt.empty() ? read_text_file(options.prompt_file) : options.prompt;
  const Talker talker{open_to_run(options.model)};
  engine::Engine engine(talker.model, options.precision);
  std::vector<engine::Token> tokens;
  if (options.chat) {
    auto messages = opening(options);
    messages.push_back({"user", prompt});
    tokens = talker.tokenizer.encode(talker.chat_template().render(messages, model::GenerationPrompt::yes));
  } else {
    tokens = talker.tokenizer.encode(prompt, model::AddSpecial::yes);
  }
  const Answer result = answer(engine, talker, tokens, options, !common.json_output);
  print(common, "\n");
  print_json(common, {{"text", result.text},
                      {"prompt_tokens", result.prompt_tokens},
                      {"tokens", result.tokens},
                      {"seconds", result.seconds},
                      {"tokens_per_second", static_cast<double>(result.tokens) / result.seconds}});
}

void run_chat(const Options& options) {
  const Talker talker{open_to_run(options.model)};
  engine::Engine engine(talker.model, options.precision);
  const model::ChatTemplate chat_template = talker.chat_template();
  auto messages = opening(options);
  remark("Write a line and press Enter; /exit, /quit or Ctrl-D ends.\n");
  for (std::string line; fmt::print("> "), std::fflush(stdout), std::getline(std::cin, line);) {
    if (line.empty()) continue;
    if (line == "/exit" || line == "/quit") return;
    messages.push_back({"user", line});
    const auto prompt = talker.tokenizer.encode(chat_template.render(messages, model::GenerationPrompt::yes));
    messages.push_back({"assistant", answer(engine, talker, prompt, options, true).text});
    fmt::print("\n");
  }
  fmt::print("\n");
}

std::function<void()> setup_generate(CommandLine& line, const Common& common) {
  auto options = std::make_shared<Options>();
  declare_shared(line, *options);
  line.option({.name = "PROMPT", .help = "Text to continue; --prompt TEXT does the same", .aliases = "--prompt"},
              options->prompt);
  line.option({.name = "--prompt-file", .help = "File with the text to continue"}, options->prompt_file);
  line.flag({.name = "--chat", .help = "Put the prompt as a user's message through the chat template"}, options->chat);
  return [options, &common] { run_generate(*options, common); };
}

std::function<void()> setup_chat(CommandLine& line, const Common&) {
  auto options = std::make_shared<Options>();
  options->max_tokens = 512;
  declare_shared(line, *options);
  return [options] { run_chat(*options); };
}

}  // namespace

extern const Verb generate_verb = {
    "generate", "Continue a text, or answer a prompt",
    "  strata generate MODEL \"The capital of France is\" --max-tokens 16\n"
    "  strata generate MODEL --chat \"Why is the sky blue?\" --temperature 0.7 --seed 1\n"
    "  strata generate MODEL --chat --system \"Answer in French.\" \"What is a prime number?\"\n"
    "  strata generate MODEL --prompt-file story.txt --json     # the text with its speed, as JSON\n",
    setup_generate};
extern const Verb chat_verb = {"chat", "Talk with a model on the terminal; /exit ends it",
                               "  strata chat MODEL --temperature 0.7\n"
                               "  strata chat MODEL --system \"Answer in one sentence.\" --max-tokens 100\n",
                               setup_chat};

}  // namespace strata::cli
