// strata report: one page that a person can look at, from what quantize, eval, score and sweep left behind.
// What is given is added to the data beside the output, so that the next report has it too.
#include <filesystem>
#include <memory>

#include "cli/options.h"
#include "core/file.h"
#include "pipeline/job/methods.h"
#include "pipeline/report/texts.h"

namespace strata::cli {
namespace {

namespace fs = std::filesystem;
using pipeline::ReportData;

struct Options {
  std::string output, page, reference, scores, plan, sweep;
  std::vector<std::string> evaluations, prompts;
  std::size_t tokens = 48;
  bool texts = false;
};

bool is_sweep(const fs::path& path) { return fs::exists(path / "sweep.json") && !fs::exists(path / "config.json"); }

/// What a person types to make a file of this text again.
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

void add_evaluation(ReportData& data, const std::string& path) {
  const json value = read_json_file(path);
  if (!value.is_object() || !value.contains("perplexity"))
    fail("{}: is not an evaluation; make one with `strata eval OUT --ref MODEL --text FILE -o {}`", path, path);
  const json text = value.value("text", json::object());
  if (!text.is_object()) fail("{}: 'text' is not an object", path);
  data.add_evaluation(
      value,
      fmt::format("{} x {} tokens of {}", get_or<std::uint64_t>(text, "chunks", 0, path),
                  get_or<std::uint64_t>(text, "n_ctx", 0, path), get_or<std::string>(text, "file", "a text", path)),
      get_or<std::string>(value, "command", "", path));
}

/// What an output is for, as far as its name says.
const pipeline::Target& target_of(const Options& options) {
  return pipeline::target_by_name(options.output.ends_with(".gguf") ? "llama.cpp" : "transformers");
}

/// The data that quantize left, or else what the checkpoint itself says.
ReportData open_data(const Options& options, const fs::path& data_path) {
  const model::Model quantized = model::Model::open(options.output, target_of(options).fusion());
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

void add_from_original(ReportData& data, const Options& options, const Common& common) {
  const model::Model original = model::Model::open(options.reference, target_of(options).fusion());
  const model::Architecture& a = original.architecture();
  if (const std::string known = data.model_fingerprint(); !known.empty() && known != original.fingerprint())
    fail("{}: is not the original of {} (fingerprint {}, expected {})", options.reference, options.output,
         original.fingerprint(), known);
  data.set_model(original);
  if (!options.plan.empty())
    data.set_plan(pipeline::Plan::from_json(read_json_file(options.plan), original, options.plan), a,
                  pipeline::shell_command(
                      std::vector<std::string>{"strata", "quantize", options.reference, "--plan", options.plan}));
  if (!options.scores.empty()) {
    const json file = read_json_file(options.scores);
    const auto scores = importance::Scores::from_json(file, original, options.scores);
    const std::string command =
        pipeline::shell_command(std::vector<std::string>{"strata", "score", options.reference, "-o", options.scores});
    std::map<std::string, double> seconds;  // `score --judge --json` has them
    if (const auto judge = file.find("judge"); judge != file.end() && judge->is_object())
      for (const auto& [name, value] : judge->value("seconds", json::object()).items())
        if (value.is_number()) seconds[name] = value.get<double>();
    data.set_scores(scores, a, seconds, command);
    const pipeline::Target& target =
        data.target().empty() ? target_of(options) : pipeline::target_by_name(data.target());
    const pipeline::Pricing pricing = pipeline::pricing_of(pipeline::method_named(data.method()));
    data.set_trade_off(
        pipeline::trade_off(pipeline::Problem(original, target, {}, pipeline::costs_of(scores, a, pricing))), command);
  }
  if (options.texts || !options.prompts.empty()) {
    const model::Model quantized = model::Model::open(options.output);
    data.set_texts(
        pipeline::side_by_side(original, quantized,
                               options.prompts.empty() ? pipeline::default_prompts() : options.prompts, options.tokens),
        common.command);
  }
}

void run(const Options& options, const Common& common) {
  const bool needs_reference =
      !options.scores.empty() || !options.plan.empty() || options.texts || !options.prompts.empty();
  if (needs_reference && options.reference.empty())
    fail_usage("--scores, --plan, --texts and --prompt are of the original model: name it with --ref MODEL");
  const bool sweep = is_sweep(options.output);
  const fs::path data_path = sweep ? fs::path() : pipeline::beside(options.output, ".report.json");
  ReportData data = sweep ? ReportData() : open_data(options, data_path);
  if (sweep && (options.texts || !options.prompts.empty() || !options.plan.empty()))
    fail_usage("{} is a sweep: --plan, --texts and --prompt need a quantized model", options.output);
  if (sweep) add_sweep(data, options.output);
  if (!options.reference.empty()) add_from_original(data, options, common);
  for (const std::string& file : options.evaluations) add_evaluation(data, file);
  if (!options.sweep.empty()) add_sweep(data, options.sweep);
  const fs::path page = !options.page.empty() ? fs::path(options.page)
                        : sweep               ? fs::path(options.output) / "report.html"
                                              : pipeline::beside(options.output, ".report.html");
  if (!pipeline::write_report(data, data_path, page))
    fail("{}: this strata was built without the report page; build it with cmake -DSTRATA_REPORT=ON, which needs npm",
         page.string());
  const json value = data.to_json();
  print_json(common, value);
  print(common, "{}: {}\n", page.string(), human_bytes(fs::file_size(page)));
  for (const json& part : value["missing"])
    print(common, "  without {}: {}\n", part["title"].get<std::string>(),
          fmt::join(part["commands"].get<std::vector<std::string>>(), "; then "));
}

std::function<void()> setup(CLI::App& app, const Common& common) {
  auto options = std::make_shared<Options>();
  app.add_option("OUT", options->output, "What quantize wrote (a folder or a GGUF file), or a folder of sweep")
      ->required();
  app.add_option("-o,--output", options->page, "Page to write (default: OUT.report.html)");
  app.add_option("--ref", options->reference, "The original, for --scores, --plan and texts");
  app.add_option("--scores", options->scores, "scores.json of the original: signals, other sizes, the judge");
  app.add_option("--plan", options->plan, "plan.json of the original that OUT was made with");
  app.add_option("--eval", options->evaluations, "eval.json of OUT (repeatable)");
  app.add_option("--sweep", options->sweep, "Folder of a sweep of the original");
  app.add_flag("--texts", options->texts, "Let both models answer a few prompts");
  app.add_option("--prompt", options->prompts, "Let both models answer this prompt (repeatable)");
  app.add_option("-n,--tokens", options->tokens, "Most tokens of an answer")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 16));
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb report_verb = {
    "report", "Show what a quantized model cost, and where, on one page",
    "  strata report OUT -o report.html\n"
    "  strata report OUT --eval eval.json --sweep sweep\n"
    "  strata report OUT --ref MODEL --scores scores.json --prompt \"Why is the sky blue?\"\n"
    "  strata report sweep                              # a folder that strata sweep wrote\n",
    setup};

}  // namespace strata::cli
