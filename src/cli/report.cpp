// strata report: one page that a person can look at, from what quantize, eval, score and sweep left behind.
// What is given is added to the data beside the output, so that the next report has it too.
#include <filesystem>
#include <memory>

#include "cli/options.h"
#include "core/file.h"
#include "core/units.h"
#include "eval/eval_file.h"
#include "hub/model_argument.h"
#include "pipeline/job/methods.h"
#include "pipeline/report/stored_codecs.h"
#include "pipeline/report/texts.h"

namespace strata::cli {
namespace {

namespace fs = std::filesystem;
using pipeline::ReportData;

struct Options {
  std::string output, page, reference, scores, plan, sweep;
  std::vector<std::string> evaluations, prompts;
  std::size_t max_tokens = 48;
  bool texts = false;
};

bool is_sweep(const fs::path& path) { return fs::exists(path / "sweep.json") && !fs::exists(path / "config.json"); }

/// Returns the command line that makes a sweep like this one.
std::string sweep_command(const json& sweep, const fs::path& folder) {
  const auto text = [&](const char* part, const char* key) {
    const auto it = sweep.find(part);
    if (it == sweep.end()) return std::string();
    const json& value = key == nullptr ? *it : it->is_object() ? it->value(key, json()) : json();
    return value.is_string() ? value.get<std::string>() : std::string();
  };
  std::vector<std::string> words = {"strata", "sweep", text("model", "path"), "-o", folder.string()};
  if (words[2].empty()) words[2] = "MODEL";
  for (const char* key : {"high", "low"})
    if (const std::string codec = text(key, nullptr); !codec.empty())
      words.insert(words.end(), {std::string("--") + key, codec});
  return pipeline::shell_command(words);
}

void add_sweep(ReportData& data, const fs::path& path) {
  const fs::path file = fs::is_directory(path) ? path / "sweep.json" : path;
  const json sweep = read_json_file(file);
  data.set_sweep(sweep, file.string(), sweep_command(sweep, fs::is_directory(path) ? path : path.parent_path()));
}

/// Describes the text of an entry of eval.json: "60 x 512 tokens of wiki.txt"; of tasks alone, that there was none.
std::string text_of(const json& entry, const std::string& path) {
  const json text = entry.value("text", json::object());
  if (text.is_null()) return "no text";
  if (!text.is_object()) fail("{}: 'text' is not an object", path);
  return fmt::format("{} x {} tokens of {}", get_or<std::uint64_t>(text, "samples", 0, path),
                     get_or<std::uint64_t>(text, "seq_len", 0, path),
                     get_or<std::string>(text, "file", "a text", path));
}

void add_evaluation(ReportData& data, const Options& options, const std::string& path) {
  json entry = eval::entry_from(read_json_file(path), data.output_fingerprint(), options.output, path);
  const std::string text = text_of(entry, path), command = get_or<std::string>(entry, "command", "", path);
  data.add_evaluation(std::move(entry), text, command, path);
}

/// Returns a target that the output can be for, as far as its name and its embedding say.
const pipeline::Target& target_of_output(const Options& options) {
  if (options.output.ends_with(".gguf")) return pipeline::target_by_name("llama.cpp");
  const model::Model model = model::Model::open_headers(options.output, model::Fusion::fused);
  return pipeline::target_by_name(model.embedding_codec() != nullptr ? "vllm" : "transformers");
}

/// Returns the target whose groups the plan has: as the plan's file or the report's data say, or else as the output
/// looks.
const pipeline::Target& target_of(const Options& options, const ReportData& data) {
  std::string name = data.target();
  if (!options.plan.empty()) name = get_or<std::string>(read_json_file(options.plan), "target", name, options.plan);
  if (!name.empty()) return pipeline::target_by_name(name);
  return is_sweep(options.output) ? pipeline::default_target(options.output) : target_of_output(options);
}

/// Returns the data that quantize left, or else what the checkpoint itself says.
ReportData open_data(const Options& options, const fs::path& data_path) {
  const model::Model quantized = model::Model::open(options.output, target_of_output(options).fusion());
  if (fs::exists(data_path)) {
    ReportData data = ReportData::read(data_path);
    if (data.output_fingerprint() == quantized.fingerprint()) return data;
    fail("{}: is of another checkpoint than {} is now; delete it, or quantize again", data_path.string(),
         options.output);
  }
  ReportData data;
  data.set_plan(quantized, "");
  std::uint64_t bytes = 0;
  if (fs::is_directory(options.output)) {
    for (const fs::directory_entry& entry : fs::directory_iterator(options.output))
      if (entry.is_regular_file()) bytes += entry.file_size();
  } else {
    bytes = fs::file_size(options.output);
  }
  data.set_output(options.output, bytes, quantized.fingerprint());
  return data;
}

void add_plan(ReportData& data, const Options& options, const model::Model& original, const pipeline::Target& target) {
  const auto plan = pipeline::Plan::from_json(read_json_file(options.plan), original, options.plan);
  pipeline::check_plan_of(plan, model::Model::open(options.output, target.fusion()), options.plan);
  data.set_plan(plan, original.architecture(),
                pipeline::shell_command(
                    std::vector<std::string>{"strata", "quantize", options.reference, "--plan", options.plan}));
}

void add_scores(ReportData& data, const Options& options, const model::Model& original,
                const pipeline::Target& target) {
  const model::Architecture& a = original.architecture();
  const json file = read_json_file(options.scores);
  const auto scores = importance::Scores::from_json(file, original, options.scores);
  const std::string command =
      pipeline::shell_command(std::vector<std::string>{"strata", "score", options.reference, "-o", options.scores});
  std::map<std::string, double> seconds;  // only `score --judge --json` gives them
  if (const auto judge = file.find("judge"); judge != file.end() && judge->is_object())
    for (const auto& [name, value] : judge->value("seconds", json::object()).items())
      if (value.is_number()) seconds[name] = value.get<double>();
  data.set_scores(scores, a, seconds, command);
  const pipeline::Costs costs = pipeline::costs_of(scores, a, pipeline::method_by_name(data.method()).pricing);
  data.set_costs(costs, a);
  data.set_trade_off(pipeline::trade_off(pipeline::Problem(original, target, {}, costs)), command);
}

void add_from_original(ReportData& data, const Options& options, const Common& common) {
  const pipeline::Target& target = target_of(options, data);
  const model::Model original = model::Model::open(options.reference, target.fusion());
  const bool told = !data.original_fingerprint().empty();
  data.set_model(original);
  if (!told)
    remark("note: nothing in {} says which model it was made from; its linears have the sizes of those of {}\n",
           options.output, options.reference);
  if (!options.plan.empty()) add_plan(data, options, original, target);
  if (!options.scores.empty()) add_scores(data, options, original, target);
  if (options.texts || !options.prompts.empty()) {
    const model::Model quantized = model::Model::open(options.output);
    data.set_texts(pipeline::side_by_side(original, quantized,
                                          options.prompts.empty() ? pipeline::default_prompts() : options.prompts,
                                          options.max_tokens),
                   common.command);
  }
}

/// Throws UsageError for options that need another one or that contradict each other.
void check(const Options& options, bool sweep) {
  const bool asks_texts = options.texts || !options.prompts.empty();
  if (options.reference.empty() && (!options.scores.empty() || !options.plan.empty() || asks_texts))
    fail_usage("--scores, --plan, --texts and --prompt are of the original model: name it with --ref MODEL");
  if (sweep && (asks_texts || !options.plan.empty() || !options.evaluations.empty()))
    fail_usage("{} is a sweep: --plan, --eval, --texts and --prompt need a quantized model", options.output);
  if (sweep && !options.sweep.empty()) fail_usage("{} is a sweep itself; leave out --sweep", options.output);
}

ReportData gather(const Options& options, const Common& common, bool sweep, const fs::path& data_path) {
  ReportData data = sweep ? ReportData() : open_data(options, data_path);
  if (sweep) add_sweep(data, options.output);
  for (const std::string& file : options.evaluations) add_evaluation(data, options, file);
  if (!options.reference.empty()) add_from_original(data, options, common);
  if (options.sweep.empty()) return data;
  if (data.original_fingerprint().empty())
    fail_usage("--sweep: nothing says yet which model {} was made from; name it with --ref MODEL", options.output);
  add_sweep(data, options.sweep);
  return data;
}

void run(const Options& options, const Common& common) {
  if (hub::is_on_hub(options.output))
    fail_usage("{}: a report is written beside OUT, which must be on this machine", options.output);
  const bool sweep = is_sweep(options.output);
  check(options, sweep);
  const fs::path data_path = sweep ? fs::path() : pipeline::beside(options.output, ".report.json");
  const ReportData data = gather(options, common, sweep, data_path);
  const fs::path page = !options.page.empty() ? fs::path(options.page)
                        : sweep               ? fs::path(options.output) / "report.html"
                                              : pipeline::beside(options.output, ".report.html");
  if (!pipeline::write_report(data, data_path, page))
    fail("{}: this strata was built without the report page; build it with cmake -DSTRATA_REPORT=ON, which needs npm",
         page.string());
  const json value = data.to_json();
  print_json(common, value);
  print(common, "{}: {}\n", page.string(), human_bytes(fs::file_size(page)));
  for (const json& part : value["missing"]) {
    print(common, "  without {}: {}\n", part["title"].get<std::string>(),
          fmt::join(part["commands"].get<std::vector<std::string>>(), "; then "));
    if (part.contains("why")) print(common, "    {}\n", part["why"].get<std::string>());
  }
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto options = std::make_shared<Options>();
  line.option(
      {.name = "OUT", .help = "What quantize wrote (a folder or a GGUF file), or a folder of sweep", .required = true},
      options->output);
  line.option({.name = "--output", .help = "Page to write (default: OUT.report.html)", .letter = "-o"}, options->page);
  line.option({.name = "--ref", .help = "The original that OUT was made from, for --scores, --plan and texts"},
              options->reference);
  line.option({.name = "--scores", .help = "scores.json of the original: signals, other sizes, where the loss is"},
              options->scores);
  line.option({.name = "--plan", .help = "plan.json that OUT was made with"}, options->plan);
  line.list({.name = "--eval", .help = "eval.json that has OUT in it (repeatable)"}, options->evaluations);
  line.option({.name = "--sweep", .help = "Folder of a sweep of the original"}, options->sweep);
  line.flag({.name = "--texts", .help = "Let both models answer a few prompts"}, options->texts);
  line.list({.name = "--prompt", .help = "Let both models answer this prompt (repeatable)"}, options->prompts);
  line.option({.name = "--max-tokens",
               .help = "Most tokens of an answer",
               .example = "64",
               .least = 1,
               .most = 1 << 16,
               .letter = "-n",
               .aliases = "--tokens"},
              options->max_tokens);
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb report_verb = {
    "report", "Show what a quantized model cost, and where, on one page",
    "  strata report OUT                                # writes OUT.report.html from what quantize left\n"
    "  strata report OUT --eval eval.json               # adds what strata eval measured\n"
    "  strata report OUT --ref MODEL --scores scores.json --sweep sweep\n"
    "  strata report OUT --ref MODEL --prompt \"Why is the sky blue?\" --prompt \"Tell a joke.\"\n"
    "  strata report OUT --json > report.json           # the data of the page\n"
    "  strata report sweep                              # a folder that strata sweep wrote\n",
    setup};

}  // namespace strata::cli
