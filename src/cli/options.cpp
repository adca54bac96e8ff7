// Declares the shared options and shows plans.
// Help texts state the default where there is one.
#include "cli/options.h"

#include <map>

#include "core/file.h"
#include "pipeline/checkpoint.h"
#include "pipeline/stock_mix.h"

namespace strata::cli {

void add_options(CLI::App& app, CalibrationOptions& options) {
  app.add_option(
      "--calib", options.texts,
      "Calibration texts (UTF-8); without any, the model writes its own. Given several times: texts of other "
      "kinds, scored separately and combined");
  options.samples_option = app.add_option("--samples", options.samples, "Calibration sequences")
                               ->capture_default_str()
                               ->check(CLI::Range(1, 1 << 20));
  options.seq_len_option = app.add_option("--seq-len", options.seq_len, "Tokens of a calibration sequence")
                               ->capture_default_str()
                               ->check(CLI::Range(2, 1 << 20));
  app.add_flag("--show-calib", options.show, "Print the calibration text to stderr");
}

pipeline::CalibrationRequest request_of(const CalibrationOptions& options, const Common& common) {
  pipeline::CalibrationRequest request{{}, options.samples, options.seq_len, common.seed};
  for (const std::vector<std::string>& files : options.texts) {
    request.sets.emplace_back(files.begin(), files.end());
    request.files.insert(request.files.end(), files.begin(), files.end());
  }
  return request;
}

void show_calibration(const importance::CalibrationSet& set, const model::Tokenizer& tokenizer) {
  remark("calibration: {}\n", set.source.text());
  for (std::size_t i = 0; i < set.sequences.size(); ++i)
    remark("--- {} ---\n{}\n", i + 1, tokenizer.decode(set.sequences[i], model::SkipSpecial::no));
}

void add_options(CLI::App& app, PlanOptions& options) {
  std::string targets;
  for (const pipeline::Target& target : pipeline::targets())
    targets += (targets.empty() ? "" : ", ") + std::string(target.name);
  options.bits_option = app.add_option("--bits", options.bits, "Budget: bytes written x 8 / weights, over all linears");
  app.add_option("--size", options.size, "Budget: the whole output on disk, such as 90MiB");
  options.max_kl_option =
      app.add_option("--max-kl", options.max_kl,
                     "Instead of a budget: the smallest model whose measured KL divergence, in nats "
                     "per token, stays under this")
          ->check(CLI::PositiveNumber);
  app.add_option("--preset", options.preset, "best, uniform:CODEC, lwq, three-tier")->capture_default_str();
  options.target_option =
      app.add_option("--for", options.target, "Runtime that will load it: " + targets)->capture_default_str();
  app.add_option("--codecs", options.codecs,
                 "Codecs to choose from, separated by commas (default, or stock: all of the target)");
  app.add_option("--keep", options.keep, "Leave linears that match this regular expression in bf16 (repeatable)");
  app.add_option("--assign", options.assign, "REGEX=CODEC: give linears that match this codec (repeatable)");
  app.add_option("--signal", options.signal, "lwq, three-tier: the signal that orders the blocks")
      ->capture_default_str();
  app.add_option("--high", options.high, "lwq: codec of the important blocks")->capture_default_str();
  app.add_option("--low", options.low, "lwq: codec of the others")->capture_default_str();
  options.n_high_option = app.add_option("--n-high", options.n_high,
                                         "lwq: number of important blocks (default: as many as the budget allows)");
  app.add_option("--embed-codec", options.embed_codec,
                 "llama.cpp: type of the embedding (default: chosen by its cost; q8_0 in presets without costs)");
  app.add_option("--like", options.like,
                 "llama.cpp, budget: the bytes that llama-quantize would give: " + pipeline::stock_mix_names());
  app.add_option("--shard-size", options.shard_size, "Largest weight file, such as 5GB (default: one file)");
}

pipeline::PlanRequest request_of(const PlanOptions& options) {
  pipeline::PlanRequest request;
  request.preset = options.preset;
  if (options.bits_option->count() > 0) request.bits = options.bits;
  if (!options.size.empty()) request.size_bytes = pipeline::parse_size(options.size, "--size");
  request.like = options.like;
  if (options.codecs != "stock") request.codecs = split_list(options.codecs);
  request.keep = options.keep;
  for (const std::string& pair : options.assign) {
    const auto equals = pair.rfind('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == pair.size())
      fail_usage("--assign '{}': expected REGEX=CODEC, such as down_proj=int8_channel", pair);
    request.assign.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
  }
  request.signal = options.signal;
  request.embed_codec = options.embed_codec;
  request.high = options.high;
  request.low = options.low;
  if (options.n_high_option->count() > 0) request.n_high = options.n_high;
  if (!options.shard_size.empty()) request.shard_bytes = pipeline::parse_size(options.shard_size, "--shard-size");
  if (options.max_kl_option->count() > 0) request.max_kl = options.max_kl;
  if (request.bits.has_value() + request.size_bytes.has_value() + request.max_kl.has_value() + !request.like.empty() >
      1)
    fail_usage("--bits, --size, --like and --max-kl contradict each other; give one");
  if (request.max_kl && request.preset != "best") fail_usage("--max-kl needs preset best, not {}", request.preset);
  if (request.preset == "best" && !request.bits && !request.size_bytes && !request.max_kl && request.like.empty())
    fail_usage(
        "give a budget: --bits 4.5, --size 90MiB or --max-kl 0.05 (or a preset that needs none, such as --preset "
        "uniform:int8_channel)");
  return request;
}

void follow_output(PlanOptions& options, const std::string& output) {
  const bool gguf = output.ends_with(".gguf");
  if (gguf && options.target_option->count() == 0) options.target = "llama.cpp";
  if (pipeline::target_by_name(options.target).gguf == gguf) return;
  if (gguf) fail_usage("-o {}: a GGUF file is for llama.cpp, not for {}", output, options.target);
  fail_usage("-o {}: end the name in .gguf for {}", output, options.target);
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    if (end > at) parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

void show_plan(const pipeline::PlanResult& result, const model::Model& model) {
  const pipeline::Plan& plan = result.plan;
  fmt::print("{} for {}: linears {} at {:.3f} bits, whole output {}\n", plan.preset, plan.target,
             human_bytes(plan.block_bytes()), plan.bits(), human_bytes(result.output_bytes));
  std::map<std::string, std::map<std::string, std::size_t>> counts;  // codec -> role -> linears
  const auto codecs = pipeline::codecs_by_linear(plan, model.architecture());
  for (std::size_t l = 0; l < codecs.size(); ++l)
    ++counts[codecs[l]->name][std::string(model::role_name(model.architecture().linears[l].role))];
  const std::vector<std::string> roles = {"q", "k", "v", "o", "gate", "up", "down"};
  std::vector<std::vector<std::string>> rows = {{"codec"}};
  rows[0].insert(rows[0].end(), roles.begin(), roles.end());
  if (!model.architecture().tied) rows[0].emplace_back("lm_head");
  if (model.architecture().embedding() != model::kNoBlock) rows[0].emplace_back("embed");
  for (const auto& [codec, by_role] : counts) {
    rows.push_back({codec});
    for (std::size_t r = 1; r < rows[0].size(); ++r) {
      const auto it = by_role.find(rows[0][r]);
      rows.back().push_back(it == by_role.end() ? "-" : fmt::format("{}", it->second));
    }
  }
  fmt::print("{}", table(rows));
  for (const std::string& note : result.notes) fmt::print("note: {}\n", note);
}

}  // namespace strata::cli
