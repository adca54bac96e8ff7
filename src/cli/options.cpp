// Declares the shared options and shows plans.
// Help texts state the default where there is one.
#include "cli/options.h"

#include <cmath>
#include <map>

#include "core/file.h"
#include "importance/signals/prior.h"
#include "pipeline/choose/stock_mix.h"
#include "pipeline/output/checkpoint.h"

namespace strata::cli {

void add_options(CLI::App& app, CalibrationOptions& options) {
  app.add_option(
      "--calib", options.texts,
      "Calibration texts (UTF-8), or conversations (.jsonl, a line {\"messages\": [...]} each); without any, "
      "the model writes its own. Given several times: texts of other kinds, scored separately and combined");
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
  app.add_option("--fit", options.fit, "Budget: memory of the runtime with the model in it, such as 8GiB");
  options.context_option = app.add_option("--ctx", options.context, "--fit: tokens of a sequence in the KV cache")
                               ->capture_default_str()
                               ->check(CLI::Range(1, 1 << 30));
  options.batch_option = app.add_option("--batch", options.batch, "--fit: sequences at a time")
                             ->capture_default_str()
                             ->check(CLI::Range(1, 1 << 20));
  app.add_option("--preset", options.preset, "best, uniform:CODEC, lwq, three-tier, prior")->capture_default_str();
  options.target_option =
      app.add_option("--for", options.target, "Runtime that will load it: " + targets)->capture_default_str();
  app.add_option("--codecs", options.codecs,
                 "Codecs to choose from, separated by commas (default, or stock: all of the target)");
  app.add_option("--keep", options.keep, "Leave linears that match this regular expression in bf16 (repeatable)");
  app.add_option("--assign", options.assign, "REGEX=CODEC: give linears that match this codec (repeatable)");
  app.add_option("--at-least", options.at_least,
                 "REGEX=CODEC: give linears that match no fewer bytes than this codec has (repeatable)");
  app.add_option("--prior", options.prior_file,
                 "Rules (docs/files.md) in place of those of the literature; with "
                 "presets other than prior, only what they keep in bf16 counts");
  app.add_flag("--search", options.search,
               "best: go on from the plan with about a minute's worth of measured changes (for small models)");
  options.search_steps_option = app.add_option(
      "--search-steps", options.search_steps, "best: search with so many measurements; the same plan on every machine");
  app.add_option("--search-time", options.search_time,
                 "best: search for this time, such as 60s; the plan then depends on the machine's speed");
  app.add_option("--signal", options.signal, "lwq, three-tier: the signal that orders the blocks")
      ->capture_default_str();
  app.add_option("--high", options.high, "lwq: codec of the important blocks")->capture_default_str();
  app.add_option("--low", options.low, "lwq: codec of the others")->capture_default_str();
  app.add_option("--levels", options.levels,
                 "lwq: blocks by importance, such as int8_channel:5,int4_g64:10,int2_g32 (counts) or "
                 "int8_channel>=-0.1,int4_g64 (the signal's values; <= for zd)");
  options.n_high_option = app.add_option("--n-high", options.n_high,
                                         "lwq: number of important blocks (default: as many as the budget allows)");
  app.add_option("--embed-codec", options.embed_codec,
                 "llama.cpp: type of the embedding (default: chosen by its cost; q8_0 in presets without costs)");
  app.add_option("--like", options.like,
                 "llama.cpp, budget: the bytes that llama-quantize would give: " + pipeline::stock_mix_names());
  app.add_option("--shard-size", options.shard_size, "Largest weight file, such as 5GB (default: one file)");
}

namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs pairs_of(const std::vector<std::string>& texts, const char* option) {
  Pairs pairs;
  for (const std::string& text : texts) {
    const auto equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
      fail_usage("{} '{}': expected REGEX=CODEC, such as down_proj=int8_channel", option, text);
    pairs.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return pairs;
}

/// "90", "90s", "1.5m", "1h" -> seconds.
double parse_time(const std::string& text) {
  std::size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const std::string unit = text.substr(used);
  const double factor = unit.empty() || unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  if (used == 0 || factor == 0 || !std::isfinite(value) || value < 0)
    fail_usage("--search-time '{}': expected a time such as 60s, 5m or 0", text);
  return value * factor;
}

void read_budget(const PlanOptions& options, pipeline::PlanRequest& request) {
  if (options.bits_option->count() > 0) request.bits = options.bits;
  if (!options.size.empty()) request.size_bytes = pipeline::parse_size(options.size, "--size");
  if (options.max_kl_option->count() > 0) request.max_kl = options.max_kl;
  if (!options.fit.empty())
    request.fit = {pipeline::parse_size(options.fit, "--fit"), options.context, options.batch};
  else if (options.context_option->count() + options.batch_option->count() > 0)
    fail_usage("--ctx and --batch say what must fit beside the weights; give --fit too, such as --fit 8GiB");
  request.like = options.like;
  const int budgets = request.bits.has_value() + request.size_bytes.has_value() + request.max_kl.has_value() +
                      request.fit.has_value() + !request.like.empty();
  if (budgets > 1) fail_usage("--bits, --size, --fit, --like and --max-kl contradict each other; give one");
  if (request.max_kl && request.preset != "best") fail_usage("--max-kl needs preset best, not {}", request.preset);
  if (budgets == 0 && (request.preset == "best" || request.preset == "prior"))
    fail_usage(
        "give a budget: --bits 4.5, --size 90MiB, --fit 8GiB or --max-kl 0.05 (or a preset that needs none, such as "
        "--preset uniform:int8_channel)");
}

}  // namespace

pipeline::PlanRequest request_of(const PlanOptions& options) {
  pipeline::PlanRequest request;
  request.preset = options.preset;
  read_budget(options, request);
  if (options.codecs != "stock") request.codecs = split_list(options.codecs);
  request.keep = options.keep;
  request.assign = pairs_of(options.assign, "--assign");
  request.at_least = pairs_of(options.at_least, "--at-least");
  if (!options.prior_file.empty()) {
    request.prior = read_json_file(options.prior_file);
    importance::Prior::from_json(request.prior, options.prior_file);
  }
  request.signal = options.signal;
  request.embed_codec = options.embed_codec;
  request.high = options.high;
  request.low = options.low;
  if (options.n_high_option->count() > 0) request.n_high = options.n_high;
  if (!options.levels.empty()) {
    if (request.preset != "lwq") fail_usage("--levels needs --preset lwq, not {}", request.preset);
    if (request.n_high) fail_usage("--levels and --n-high contradict each other; give one");
    request.levels = pipeline::parse_levels(options.levels, request.signal);
  }
  if (!options.shard_size.empty()) request.shard_bytes = pipeline::parse_size(options.shard_size, "--shard-size");
  const bool searches = options.search || options.search_steps > 0 || !options.search_time.empty();
  if (searches && request.preset != "best") fail_usage("a search needs preset best, not {}", request.preset);
  if (searches && request.max_kl) fail_usage("--max-kl measures plans already; leave out the search");
  return request;
}

pipeline::SearchOptions search_of(const PlanOptions& options, const model::Architecture& architecture) {
  pipeline::SearchOptions search;
  if (!options.search_time.empty()) search.seconds = parse_time(options.search_time);
  if (options.search_steps_option->count() > 0)
    search.steps = options.search_steps;
  else if (search.seconds)
    search.steps = *search.seconds > 0 ? std::size_t{100000} : 0;
  else if (options.search)
    search.steps = pipeline::default_search_steps(architecture, search.tokens);
  return search;
}

void follow_output(PlanOptions& options, const std::string& output) {
  const bool gguf = output.ends_with(".gguf");
  if (gguf && options.target_option->count() == 0) options.target = "llama.cpp";
  if (pipeline::target_by_name(options.target).extension().empty() != gguf) return;
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
  fmt::print("{} for {}: linears {} at {:.3f} bits ({:.3f} nominal), whole output {}\n", plan.preset, plan.target,
             human_bytes(plan.block_bytes()), plan.bits(), plan.nominal_bits(), human_bytes(result.output_bytes));
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
