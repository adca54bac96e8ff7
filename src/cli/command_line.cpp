// Everything that uses CLI11: options become words that set a value, and its errors become UsageErrors.
// core/options checks numbers and words, so that every way to set an option has the same errors.
#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <sstream>

#include "cli/machine.h"
#include "cli/verb.h"
#include "core/suggest.h"

namespace strata::cli {
namespace {

using Kind = OptionValue::Kind;

/// CLI11 would take the brackets off the value [qkv], and split it at commas; with this before it, it does not.
constexpr char kWhole = '\x01';

/// A word of the command line, its value marked with kWhole where that is in brackets.
std::string marked(std::string word) {
  const std::size_t equals = word.starts_with("--") ? word.find('=') : std::string::npos;
  const std::size_t value = equals == std::string::npos ? 0 : equals + 1;
  if (value < word.size() && word[value] == '[' && word.back() == ']') word.insert(value, 1, kWhole);
  return word;
}

std::string unmarked(std::string word) {
  std::erase(word, kWhole);
  return word;
}

OptionWords unmarked(OptionWords words) {
  for (std::vector<std::string>& some : words)
    for (std::string& word : some) word = unmarked(std::move(word));
  return words;
}

/// Returns CLI11's list of an option's names: the letter, its own name, and --no-NAME for a flag that is on by default.
std::string names_of(const OptionInfo& info, const OptionValue& value) {
  std::string names = info.letter.empty() ? info.name : info.letter + "," + info.name;
  if (value.kind == Kind::flag && value.get() == json(true)) names += ",!--no-" + info.name.substr(2);
  return names;
}

/// The default as a person would type it; empty where there is none to show.
std::string default_of(const OptionValue& value) {
  const json now = value.get();
  if (value.kind == Kind::flag || now.is_null()) return {};
  if (now.is_string()) return now.get<std::string>();
  if (now.is_array()) return fmt::format("{}", fmt::join(now.get<std::vector<std::string>>(), ","));
  return now.dump();
}

std::string help_of(const OptionInfo& info, const OptionValue& value) {
  const std::string usual = default_of(value);
  return usual.empty() ? info.help : fmt::format("{} (default: {})", info.help, usual);
}

/// Help pages of 100 columns, with --no-NAME beside the flags that are on by default.
class HelpPage final : public CLI::Formatter {
 public:
  HelpPage() { column_width(kNameColumns); }
  std::string make_option_name(const CLI::Option* option, bool positional) const override {
    std::string name = CLI::Formatter::make_option_name(option, positional);
    if (const std::size_t at = name.find("{false}"); at != std::string::npos) name.erase(at);
    return name;
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    const bool positional = option->get_positional() && !option->nonpositional();
    return (positional ? "" : CLI::Formatter::make_option_opts(option)) + (option->get_required() ? " (required)" : "");
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    std::string wrapped, word;
    std::size_t column = 0;
    std::istringstream words(CLI::Formatter::make_option_desc(option));
    while (words >> word) {
      if (column != 0 && column + 1 + word.size() > kHelpColumns) {
        wrapped += '\n';
        column = 0;
      }
      wrapped += (column == 0 ? "" : " ") + word;
      column += word.size() + (column == 0 ? 0 : 1);
    }
    return wrapped;
  }

 private:
  static constexpr std::size_t kNameColumns = 30, kHelpColumns = 70;
};

CLI::Option* add(CLI::App& app, const std::string& names, const OptionInfo& info, const OptionValue& value) {
  const std::string help = help_of(info, value);
  if (value.kind == Kind::flag) {  // of --x and --no-x the last one counts
    return app
        .add_flag_function(
            names, [](std::int64_t) {}, help)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)
        ->each([set = value.set](const std::string& word) { set({{word}}); });
  }
  if (value.kind == Kind::groups) return app.add_option_function<OptionWords>(names, value.set, help);
  if (!info.name.starts_with('-') && value.kind == Kind::one)
    return app.add_option_function<std::string>(
        names, [set = value.set](const std::string& word) { set({{word}}); }, help);
  // Words are collected, so that an option that was given twice is refused by its own name.
  CLI::Option* option = app.add_option_function<std::vector<std::string>>(
      names, [set = value.set](const std::vector<std::string>& words) { set({words}); }, help);
  if (value.kind == Kind::one)
    option->expected(1)->allow_extra_args(false)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  return option;
}

}  // namespace

void CommandLine::declare(const OptionInfo& info, const OptionValue& value) {
  // Whichever spelling comes first counts; a second one would be ignored without a word.
  const auto used = std::make_shared<std::string>();
  const auto once = [&](const std::string& name) {
    OptionValue guarded = value;
    if (value.kind == Kind::flag) return guarded;
    guarded.set = [used, name, set = value.set](const OptionWords& words) {
      if (!used->empty()) fail_usage("{} and {} are one option; give it once", *used, name);
      *used = name;
      set(unmarked(words));
    };
    return guarded;
  };
  CLI::Option* option = add(app_, names_of(info, value), info, once(info.name));
  if (info.required) option->required();
  if (info.name.starts_with('-')) option->group(heading_);
  if (value.kind != Kind::flag)
    option->option_text(info.values.empty() ? value.placeholder : fmt::format("{}", fmt::join(info.values, "|")));
  if (!info.aliases.empty()) add(app_, info.aliases, info, once(info.aliases))->group("");
}

void visit(Common& common, OptionVisitor& visitor) {
  visitor.heading("All verbs");
  visitor.flag({.name = "--json", .help = "Print the result as JSON on stdout, an error too", .effect = Effect::run},
               common.json_output);
  visitor.option({.name = "--threads",
                  .help = "Threads; 0 stands for all CPUs. Their number never changes a result",
                  .example = "4",
                  .most = 1024,
                  .effect = Effect::run},
                 common.threads);
}

namespace {

/// Returns the names of a verb's options, for suggestions.
std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    if (!option->get_group().empty())
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

/// Throws UsageError for words that the verb has no use for, in the order in which they were given.
void refuse_extras(const CLI::App& verb, const std::vector<std::string>& words) {
  const std::vector<std::string> extras = verb.remaining();
  for (const std::string& word : words) {
    if (word == "--" || std::ranges::find(extras, word) == extras.end()) continue;
    const std::string name = word.substr(0, word.find('='));
    if (name.starts_with('-'))
      fail_usage("{} has no option {}{}", verb.get_name(), name, did_you_mean(name, option_names(verb)));
    fail_usage("{}: '{}' is one argument too many", verb.get_name(), unmarked(word));
  }
}

/// The verb that the first word names. Throws UsageError when it names none.
const Verb& verb_of(const std::string& word) {
  std::vector<std::string> names;
  for (const Verb& verb : verbs()) {
    if (verb.name == word) return verb;
    names.emplace_back(verb.name);
  }
  if (word.empty()) fail_usage("give a verb: {}", fmt::join(names, ", "));
  if (!word.starts_with('-'))
    fail_usage("'{}' is no verb{}; there are {}", word, did_you_mean(word, names), fmt::join(names, ", "));
  const std::vector<std::string> own = {"--help", "--version"};
  fail_usage("{}: a verb comes first{}; there are {}", word, did_you_mean(word, own), fmt::join(names, ", "));
}

/// Throws UsageError for a flag whose value is neither true nor false, which CLI11 would not say so.
void refuse_values_of_flags(const CLI::App& verb, const std::vector<std::string>& words) {
  for (const std::string& word : words)
    if (const std::size_t at = word.find('='); at != std::string::npos)
      if (const CLI::Option* option = verb.get_option_no_throw(word.substr(0, at));
          option != nullptr && option->get_items_expected_max() == 0)
        OptionVisitor::check_flag(word.substr(0, at), word.substr(at + 1));
}

/// Lists the verbs, or shows the version.
void show_program(const std::vector<std::string>& words) {
  CLI::App app{
      "Give it a language model and a size; get back the best model that fits, for vLLM,\n"
      "transformers and llama.cpp, made on a plain CPU.",
      "strata"};
  app.add_flag("--version")->description("Print the version");
  app.add_flag("--verbose")->description("With --version: the processor, and the kernels that were chosen for it");
  app.formatter(std::make_shared<HelpPage>());
  app.footer(
      "MODEL is a Hugging Face folder, a GGUF file, or hf:ORG/NAME. `strata VERB --help` has examples. The first one:\n"
      "  strata quantize MODEL -o OUT --bits 4.5\n"
      "Exit codes: 0 done, 1 the input or the machine is at fault, 2 the command line is, 130 interrupted.\n"
      "Environment: STRATA_ISA=portable|avx2|avx512|avx512bf16|amx forces an instruction set.");
  for (const Verb& verb : verbs()) app.add_subcommand(verb.name, verb.summary);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() != 0) fail_usage("{}", e.what());
    app.exit(e);
  }
}

}  // namespace

std::function<void()> parse_command_line(std::vector<std::string> words, Common& common) {
  const std::string first = words.empty() ? std::string() : words.front();
  const auto asked = [&](const char* word) { return std::ranges::find(words, word) != words.end(); };
  const auto of_version = [](const std::string& w) { return w == "--version" || w == "--verbose" || w == "--json"; };
  if (asked("--version") && std::ranges::all_of(words, of_version))
    return [verbose = asked("--verbose"), &common] { show_version(verbose, common); };
  if (first == "--help" || first == "-h" || first == "--version") {
    show_program(words);
    return {};
  }
  const Verb& verb = verb_of(first);
  words.erase(words.begin());
  CLI::App app{verb.summary, std::string("strata ") + verb.name};
  app.allow_extras();
  app.formatter(std::make_shared<HelpPage>());
  app.footer(std::string("Examples:\n") + verb.examples);
  CommandLine line(app);
  const std::function<void()> run_verb = verb.setup(line, common);
  visit(common, line);
  std::ranges::transform(words, words.begin(), marked);
  try {
    refuse_values_of_flags(app, words);
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    refuse_extras(app, words);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() != 0) fail_usage("{}", e.what());
    app.exit(e);
    return {};
  }
  if (verb.run_by == RunBy::first_rank && !all_ranks().is_first()) return [] {};
  return run_verb;
}

}  // namespace strata::cli
