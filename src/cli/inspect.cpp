// strata inspect: what a model is, tensor by tensor.
// For a quantized checkpoint it also shows the codec of every linear and the true bits.
#include <array>
#include <map>
#include <memory>
#include <optional>

#include "cli/plot.h"
#include "cli/verb.h"
#include "core/units.h"
#include "hub/model_argument.h"
#include "model/carried.h"
#include "model/model.h"
#include "pipeline/report/consumers.h"
#include "pipeline/report/data.h"
#include "pipeline/report/families.h"
#include "pipeline/report/loads.h"
#include "pipeline/report/stored_codecs.h"

namespace strata::cli {
namespace {

struct Options {
  std::string model, scores, signal;
  std::optional<std::string> target;
  bool tensors = false, plot = false, families = false, targets = false, markdown = false;
};

double bits_of(std::uint64_t bytes, std::uint64_t weights) {
  return weights == 0 ? 0.0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

json describe(const model::Model& model) {
  const model::Architecture& a = model.architecture();
  json value;
  value["path"] = model.path().string();
  value["container"] = model.from_gguf() ? "gguf" : "safetensors";
  value["fingerprint"] = model.fingerprint();
  value["complete"] = model.complete();
  value["architecture"] = {{"model_type", a.model_type},     {"blocks", a.blocks}, {"hidden", a.hidden},
                           {"intermediate", a.intermediate}, {"heads", a.heads},   {"kv_heads", a.kv_heads},
                           {"head_dim", a.head_dim},         {"vocab", a.vocab},   {"max_position", a.max_position},
                           {"tied_embeddings", a.tied}};
  std::uint64_t tensor_bytes = 0, parameters = 0;
  json tensors = json::array();
  for (const model::TensorInfo& tensor : model.tensors()) {
    tensor_bytes += tensor.bytes;
    tensors.push_back({{"name", tensor.name}, {"type", tensor.type}, {"shape", tensor.shape}, {"bytes", tensor.bytes}});
  }
  const auto add = [&parameters](const std::vector<std::uint64_t>& shape) {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : shape) count *= extent;
    parameters += count;
  };
  for (const model::ExpectedTensor& tensor : model::expected_tensors(a)) add(tensor.shape);
  if (!a.why_not_runnable.empty())  // which of them a text model would read is not known
    for (const model::TensorInfo& tensor : model.carried()) add(tensor.shape);
  value["parameters"] = parameters;
  value["tensor_bytes"] = tensor_bytes;
  std::uint64_t bytes = 0, weights = 0;
  const auto codecs = pipeline::stored_codecs(model);
  json linears = json::array();
  for (const model::Linear& linear : a.linears) {
    const codec::Codec* codec = codecs[linears.size()];
    const std::uint64_t stored = model.stored_bytes(linear), count = linear.rows * linear.cols;
    linears.push_back({{"module", linear.module},
                       {"role", model::role_name(linear.role)},
                       {"rows", linear.rows},
                       {"cols", linear.cols},
                       {"codec", codec->has_codes() ? codec->name : "dense"},
                       {"bytes", stored},
                       {"bits", bits_of(stored, count)}});
    if (linear.block == model::kNoBlock) continue;
    bytes += stored;
    weights += count;
  }
  value["linears_of_blocks"] = {{"bytes", bytes}, {"weights", weights}, {"bits", bits_of(bytes, weights)}};
  value["linears"] = std::move(linears);
  json carried = json::array();
  for (const model::CarriedPart& part : model::carried_parts(model))
    carried.push_back({{"name", part.name}, {"tensors", part.tensors}, {"bytes", part.bytes}});
  value["carried"] = std::move(carried);
  value["tensors"] = std::move(tensors);
  return value;
}

void show(const model::Model& model, const json& value, const Options& options) {
  const model::Architecture& a = model.architecture();
  fmt::print("{}\n", model.path().string());
  if (!a.why_not_runnable.empty()) {
    fmt::print("  {}, {} blocks\n  {}\n", a.model_type, a.blocks, a.why_not_runnable);
  } else {
    fmt::print(
        "  {}, {} blocks, hidden {}, feed-forward {}, {} heads ({} key-value) of {}, vocabulary {}, {} positions{}\n",
        a.model_type, a.blocks, a.hidden, a.intermediate, a.heads, a.kv_heads, a.head_dim, a.vocab, a.max_position,
        a.tied ? ", tied embeddings" : "");
  }
  fmt::print("  {:.1f} M parameters, {} of tensors, fingerprint {}\n",
             static_cast<double>(value["parameters"].get<std::uint64_t>()) / 1e6, human_bytes(value["tensor_bytes"]),
             value["fingerprint"].get<std::string>());
  if (!model.complete()) fmt::print("  headers only: the files end before their weights (is the download complete?)\n");
  if (const std::string parts = model::describe_carried(model::carried_parts(model)); !parts.empty())
    fmt::print("  neither run nor quantized: {}\n", parts);
  fmt::print("  linears of the blocks: {} at {:.3f} bits\n\n", human_bytes(value["linears_of_blocks"]["bytes"]),
             value["linears_of_blocks"]["bits"].get<double>());
  std::vector<std::vector<std::string>> rows;
  if (options.tensors) {
    rows.push_back({"tensor", "type", "shape", "bytes"});
    for (const json& t : value["tensors"])
      rows.push_back({t["name"], t["type"],
                      fmt::format("{}", fmt::join(t["shape"].get<std::vector<std::uint64_t>>(), " x ")),
                      fmt::format("{}", t["bytes"].get<std::uint64_t>())});
  } else {
    std::map<std::pair<std::string, std::string>, std::array<std::uint64_t, 3>> kinds;
    for (const json& l : value["linears"]) {
      auto& [count, bytes, weights] = kinds[{l["role"], l["codec"]}];
      ++count;
      bytes += l["bytes"].get<std::uint64_t>();
      weights += l["rows"].get<std::uint64_t>() * l["cols"].get<std::uint64_t>();
    }
    rows.push_back({"role", "codec", "linears", "size", "bits"});
    for (const auto& [kind, sums] : kinds)
      rows.push_back({kind.first, kind.second, fmt::format("{}", sums[0]), human_bytes(sums[1]),
                      fmt::format("{:.3f}", bits_of(sums[1], sums[2]))});
  }
  fmt::print("{}", table(rows));
}

/// Turns values by linear into rows of the map: one row for each role, or a single one for a signal of whole blocks.
/// Several linears of a role (the experts of a block) are shown by their mean.
std::vector<PlotRow> rows_of(const model::Architecture& a, bool whole_blocks,
                             const std::function<std::optional<double>(std::size_t linear)>& value) {
  std::vector<PlotRow> rows;
  std::map<std::pair<std::string, std::size_t>, double> counts;
  for (std::size_t l = 0; l < a.linears.size(); ++l) {
    const model::Linear& linear = a.linears[l];
    if (linear.block == model::kNoBlock) continue;
    const std::string name = whole_blocks ? "block" : std::string(model::role_name(linear.role));
    auto row = std::ranges::find(rows, name, &PlotRow::name);
    if (row == rows.end()) row = rows.insert(row, {name, std::vector<std::optional<double>>(a.blocks)});
    const std::optional<double> given = value(l);
    if (!given) continue;
    std::optional<double>& shown = row->values[linear.block];
    const double count = counts[{name, linear.block}]++;
    shown = (shown.value_or(0.0) * count + *given) / (count + 1);
  }
  return rows;
}

void plot_bits(const model::Model& model) {
  PlotStyle style = terminal_style();
  style.unit = "bits";
  const model::Architecture& a = model.architecture();
  const auto bits = [&](std::size_t l) -> std::optional<double> {
    return bits_of(model.stored_bytes(a.linears[l]), a.linears[l].rows * a.linears[l].cols);
  };
  fmt::print("bits by block and role\n{}", block_plot(rows_of(a, false, bits), style));
}

void plot_signals(const model::Model& model, const Options& options) {
  const model::Architecture& a = model.architecture();
  const auto scores = importance::Scores::from_json(read_json_file(options.scores), model, options.scores);
  pipeline::ReportData report;
  report.set_scores(scores, a, {}, "");
  const json data = report.to_json();
  std::vector<std::string> known;
  for (const json& signal : data["signals"]) {
    const auto name = signal["name"].get<std::string>();
    known.push_back(name);
    if (!options.signal.empty() && options.signal != name) continue;
    PlotStyle style = terminal_style();
    style.downwards = !signal["higher_is_important"].get<bool>();
    style.unit = style.downwards ? "(less is more important)" : "";
    const std::string of = signal["of"];
    const auto value = [&](std::size_t l) -> std::optional<double> {
      const json& v = signal["values"][of == "block" ? a.linears[l].block : of == "group" ? a.linears[l].group : l];
      return v.is_number() ? std::optional(v.get<double>()) : std::nullopt;
    };
    fmt::print("{}{}: {}\n{}", name, signal.contains("codec") ? " at " + signal["codec"].get<std::string>() : "",
               signal["meaning"].get<std::string>(), block_plot(rows_of(a, of == "block", value), style));
    if (name == options.signal) return;
  }
  if (!options.signal.empty())
    fail("{}: holds no signal '{}', but {}", options.scores, options.signal, fmt::join(known, ", "));
}

/// Who loads the checkpoint: the target that was asked for, or all of them with what keeps the others from it.
void show_verdicts(const std::vector<pipeline::Verdict>& verdicts, const model::Model& model, const Options& options) {
  const pipeline::Target* wanted = options.target ? &pipeline::target_by_name(*options.target) : nullptr;
  std::string loads;
  for (const pipeline::Verdict& verdict : verdicts)
    if (verdict.loads()) loads += (loads.empty() ? "" : ", ") + std::string(verdict.target->name);
  // Whether a runtime has an unknown architecture is not known either.
  const bool known = model.architecture().why_not_runnable.empty();
  fmt::print("\n{}: {}\n", known ? "loads in" : "its codecs load in",
             loads.empty() ? "no runtime that strata knows" : loads);
  for (const pipeline::Verdict& verdict : verdicts)
    if (wanted == nullptr ? !verdict.loads() : verdict.target == wanted) fmt::print("  {}\n", verdict.text());
}

std::string markdown(const std::vector<std::vector<std::string>>& rows) {
  std::string text;
  for (const std::vector<std::string>& row : rows) {
    text += fmt::format("| {} |\n", fmt::join(row, " | "));
    if (&row != &rows.front()) continue;
    for (std::size_t c = 0; c < row.size(); ++c) text += "|---";
    text += "|\n";
  }
  return text;
}

/// What is there for each family, which needs no model.
void show_families(const Options& options, const Common& common) {
  if (!options.model.empty()) fail_usage("--families lists all that strata knows; leave out {}", options.model);
  const std::vector<pipeline::FamilySupport> families = pipeline::family_support();
  print_json(common, pipeline::to_json(families));
  const auto rows = pipeline::to_rows(families);
  print(common, "{}", options.markdown ? markdown(rows) : table(rows));
}

void show_targets(const Options& options, const Common& common) {
  if (!options.model.empty()) fail_usage("--targets lists all that strata knows; leave out {}", options.model);
  print_json(common, pipeline::consumers_json());
  const auto rows = pipeline::consumers_rows();
  print(common, "{}", options.markdown ? markdown(rows) : table(rows));
}

/// The model as its runtime groups it; without one, an embedding is a linear where it has codes.
model::Model open_model(const Options& options) {
  if (options.target)
    return model::Model::open_headers(options.model, pipeline::target_by_name(*options.target).fusion());
  model::Model model = model::Model::open_headers(options.model, model::Fusion::fused);
  if (model.embedding_codec() == nullptr) return model;
  return model::Model::open_headers(options.model, model::Fusion::fused_embedding);
}

void run(const Options& options, const Common& common) {
  if (options.markdown && !options.families && !options.targets)
    fail_usage("--markdown is for --families and --targets");
  if (options.families) return show_families(options, common);
  if (options.targets) return show_targets(options, common);
  if (options.model.empty()) fail_usage("MODEL is required");
  if (!options.plot && (!options.scores.empty() || !options.signal.empty()))
    fail_usage("--scores and --signal say what --plot draws; add --plot");
  if (!options.signal.empty() && options.scores.empty()) fail_usage("--signal is read from --scores FILE");
  const model::Model model = open_model(options);
  const std::vector<pipeline::Verdict> verdicts = pipeline::verdicts(model);
  json value = describe(model);
  for (const pipeline::Verdict& verdict : verdicts)
    value["loads"][std::string(verdict.target->name)] = verdict.loads() ? json(true) : json(verdict.text());
  print_json(common, value);
  if (common.json_output) return;
  if (!options.plot) {
    show(model, value, options);
    return show_verdicts(verdicts, model, options);
  }
  if (options.scores.empty())
    plot_bits(model);
  else
    plot_signals(model, options);
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto options = std::make_shared<Options>();
  line.option({.name = "MODEL", .help = hub::kModelArgument}, options->model);
  line.flag({.name = "--tensors", .help = "List every tensor instead of a summary by role"}, options->tensors);
  line.flag({.name = "--plot", .help = "Draw a map of blocks and roles: bits, or the signals of --scores"},
            options->plot);
  line.flag({.name = "--families", .help = "List the families of models, and what is there for each; takes no MODEL"},
            options->families);
  line.flag(
      {.name = "--targets", .help = "List which codecs each target takes, and from which version; takes no MODEL"},
      options->targets);
  line.flag({.name = "--markdown", .help = "--families and --targets as a table of a Markdown page"},
            options->markdown);
  line.option({.name = "--scores", .help = "scores.json of this model, to draw"}, options->scores);
  line.option({.name = "--signal", .help = "Draw this signal only"}, options->signal);
  line.option({.name = "--for",
               .help = "Say whether this runtime loads the checkpoint; with --scores, the one they were made for: " +
                       pipeline::target_names(),
               .example = "a100"},
              options->target);
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb inspect_verb = {
    "inspect", "Show a model's architecture, tensors, sizes and bits",
    "  strata inspect MODEL\n  strata inspect MODEL --tensors\n  strata inspect OUT --plot\n"
    "  strata inspect MODEL --plot --scores scores.json --signal alpha\n  strata inspect MODEL --json | jq "
    ".parameters\n  strata inspect --families\n",
    setup};

}  // namespace strata::cli
