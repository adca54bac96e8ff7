// gptq as a job: the whole model is rounded block by block, and the output takes each linear as it is ready.
// What a block of an earlier run has written is read back, since the blocks after it were not rounded without it.
#include <algorithm>
#include <map>

#include "core/threads.h"
#include "engine/gradient.h"
#include "engine/residency.h"
#include "engine/sampler.h"
#include "pipeline/job/methods.h"
#include "pipeline/job/model_bytes.h"
#include "pipeline/job/shared_work.h"
#include "pipeline/job/stages.h"
#include "pipeline/output/linear_encoder.h"
#include "pipeline/output/stored_parts.h"

namespace strata::pipeline {
namespace {

constexpr std::uint64_t kFloat = sizeof(float);
constexpr std::uint64_t kTokenizerBytes = 26u << 20;              // and what else the calibration text needs
constexpr std::uint64_t kKeptRowsBytes = std::uint64_t{2} << 30;  // more rows than these are not kept
constexpr std::uint64_t kLearnedBytes = 27;  // for a weight that is tuned, its decoded value and gradient among them

/// Bytes that one linear needs beside its block: its Hessian, the factor, and rows at work on every thread. sums: how
/// many sums of parts there are at a time for what is summed.
std::uint64_t rounding_bytes(const model::Architecture& a, const model::Linear& linear, std::size_t batch_tokens,
                             std::uint64_t sums, bool asymmetric) {
  const std::uint64_t n = linear.cols, square = n * n * kFloat, wide = n * linear.rows * kFloat;
  const std::uint64_t rows_at_site = n * std::min<std::uint64_t>(batch_tokens, 4096) * kFloat;
  const std::uint64_t collecting = sums * square + rows_at_site;
  if (asymmetric && engine::ends_half(a, linear.block, engine::input_site(linear.role)))
    return std::max(collecting + sums * wide + 2 * batch_tokens * a.hidden * kFloat, 3 * square + 3 * wide);
  if (asymmetric) return std::max({2 * collecting, 4 * square + 2 * rows_at_site + wide, 5 * square + 3 * wide});
  const std::uint64_t rows =
      thread_count() * quantize::rows_of_a_stretch(linear.rows) * n * (2 * (2 * kFloat + 1) + 2 * kFloat);
  return std::max(collecting, 2 * square + rows);
}

/// Bytes of the block that needs most, or of lm_head: its weights, its stored linears, and the linear at work.
struct BlockBytes {
  std::uint64_t weights = 0, stored = 0, rounding = 0;
  std::uint64_t sum() const { return weights + stored + rounding; }
};

BlockBytes largest_block(const model::Model& model, const std::vector<const codec::Codec*>& codecs,
                         std::size_t batch_tokens, std::uint64_t sums, const RoundingOptions& options) {
  const model::Architecture& a = model.architecture();
  const std::vector<std::uint64_t> weights = weight_bytes(model);
  std::vector<BlockBytes> blocks(a.blocks + 1);
  for (std::size_t l = 0; l < codecs.size(); ++l) {
    const model::Linear& linear = a.linears[l];
    if (linear.role == model::Role::embed) continue;
    BlockBytes& block = blocks[std::min(linear.block, a.blocks)];
    block.weights += weights[l];
    if (!codecs[l]->has_codes()) continue;  // copied from the file when its turn comes
    block.stored += codec::stored_bytes(*codecs[l], linear.rows, linear.cols);
    block.rounding = std::max(block.rounding, dequantized_bytes(model, linear) +
                                                  rounding_bytes(a, linear, batch_tokens, sums, options.asymmetric));
    if (options.tune.steps > 0) block.stored += kLearnedBytes * linear.rows * linear.cols;
  }
  return *std::ranges::max_element(blocks, {}, &BlockBytes::sum);
}

importance::CalibrationSet text_of(const PlannedJob& job, JobFolder& folder) {
  return Stages(job.model, &folder).calibration("rounding.json", [&] {
    // Writing a text goes through all blocks for every token.
    engine::Engine engine(job.model, kernel::Precision::bf16, residency_of(job.request));
    return importance::make_calibration(engine, model::Tokenizer::of(job.model), rounding_text(job.request));
  });
}

/// The linears that were rounded, in the model's order. A block that was rounded again has told its errors twice: the
/// last ones hold.
std::vector<RoundedLinear> rounded_linears(const model::Architecture& a, const StoredParts& parts,
                                           const std::string& where) {
  std::map<std::string, RoundedLinear> by_module;
  for (const json& linear : parts.linears()) {
    RoundedLinear rounded = RoundedLinear::from_json(linear, where);
    by_module.insert_or_assign(rounded.module, rounded);
  }
  std::vector<RoundedLinear> linears;
  for (const model::Linear& linear : a.linears)
    if (const auto it = by_module.find(linear.module); it != by_module.end()) linears.push_back(it->second);
  return linears;
}

/// The linears since the last call, as the journal notes them.
class News {
 public:
  explicit News(const Rounding& rounding) : rounding_(rounding) {}
  json operator()() {
    json linears = json::array();
    for (; told_ < rounding_.results().size(); ++told_) linears.push_back(rounding_.results()[told_].to_json());
    return linears;
  }

 private:
  const Rounding& rounding_;
  std::size_t told_ = 0;
};

/// Says which blocks --tune leaves as they are rounded.
void say_untuned(const model::Architecture& a, const RoundingOptions& options, Listener& listener) {
  if (options.tune.steps == 0) return;
  std::size_t blocks = 0;
  std::string first;
  for (std::size_t b = 0; b < a.blocks; ++b)
    if (const std::string why = engine::why_no_gradient(a, b); !why.empty() && blocks++ == 0)
      first = fmt::format("block {}: {}", b, why);
  if (blocks != 0)
    listener.on_remark(fmt::format("--tune: {} of {} blocks stay as gptq rounds them ({})", blocks, a.blocks, first));
}

/// Tells the other ranks what they round, and from which block on.
void share_rounding(const Codecs& codecs, const importance::CalibrationSet& set, const RoundingSetup& setup,
                    std::size_t stored) {
  ask_for_help("round", {{"codecs", names_of(codecs)},
                         {"keep_rows", setup.keep_rows},
                         {"spill", setup.spill_folder.string()},
                         {"blocks", stored}});
  importance::CalibrationSet shared = set;
  importance::share(all_ranks(), shared);
  std::vector<float> of_embedding(setup.embedding_importance.begin(), setup.embedding_importance.end());
  all_ranks().broadcast(of_embedding);
}

void round_and_write(const PlannedJob& job, const Forecast& forecast, const importance::CalibrationSet& set,
                     JobFolder& folder, StoredParts& parts, Listener& listener, Written& written) {
  const model::Architecture& a = job.model.architecture();
  const auto codecs = codecs_by_linear(job.prepared.plan.plan, a);
  RoundingSetup setup;
  setup.fit = job.request.scale_fit;
  setup.keep_rows = forecast.keeps_rows;
  if (forecast.spills) setup.spill_folder = folder.path();
  if (const std::size_t l = a.embedding(); l != model::kNoLinear && !job.prepared.importance.empty())
    setup.embedding_importance = job.prepared.importance[l];
  setup.listener = [&listener](const RoundedLinear& linear) { listener.on_linear(linear); };
  setup.ranks = ranks_to_round(job.request);
  say_untuned(a, job.request.rounding, listener);
  const std::size_t stored = stored_blocks(job.output, a, folder.result(), parts);
  if (setup.ranks.many()) share_rounding(codecs, set, setup, stored);
  Rounding rounding(job.model, codecs, set, job.request.rounding, setup);
  rounding.resume(stored, [&](std::size_t l) { return job.output.read(l, folder.result()); });
  News news(rounding);
  parts.set_news(std::ref(news));
  LinearEncoder encoder(job.model, codecs,
                        {.stored = [&](std::size_t l) -> const codec::Stored& { return rounding.linear(l); }});
  job.output.write(encoder, folder.result(), parts);
  rounding.end();
  folder.append({{"linears", news()}});
  parts.set_news({});
  written.tuned = rounding.tuned();
}

/// The most sequences that a rank holds.
std::size_t sequences_of_a_rank(std::size_t sequences, std::size_t together, std::size_t ranks) {
  std::size_t most = 0;
  for (std::size_t r = 0; r < ranks; ++r)
    most = std::max(most, CalibrationParts(sequences, together, Ranks(r, ranks)).sequences());
  return most;
}

}  // namespace

void help_to_round(const model::Model& model, const QuantizeRequest& request, const json& details) {
  const std::string where = "what the first rank sent";
  const Codecs codecs = codecs_named(get<json>(details, "codecs", where));
  importance::CalibrationSet set;
  importance::share(all_ranks(), set);
  std::vector<float> of_embedding;
  all_ranks().broadcast(of_embedding);
  RoundingSetup setup;
  setup.fit = request.scale_fit;
  setup.keep_rows = get<bool>(details, "keep_rows", where);
  setup.embedding_importance = of_embedding;
  setup.ranks = all_ranks();
  // The job's folder is there on a file system that the machines share.
  std::error_code code;
  setup.spill_folder = get<std::string>(details, "spill", where);
  if (!setup.spill_folder.empty() && !std::filesystem::is_directory(setup.spill_folder, code))
    setup.spill_folder = std::filesystem::temp_directory_path();
  Rounding rounding(model, codecs, set, request.rounding, setup);
  rounding.resume(get<std::size_t>(details, "blocks", where), {});
  rounding.help();
}

/// While the model writes the text that it is rounded by.
std::uint64_t bytes_of_writing(const PlannedJob& job, std::uint64_t program) {
  if (!job.request.calibration.texts.empty()) return 0;
  const model::Architecture& a = job.model.architecture();
  const importance::TextSize text = rounding_text(job.request).size();
  const std::uint64_t caches =
      engine::texts_at_once(a, text.samples, text.seq_len) * engine::text_cache_bytes(a, text.seq_len);
  const bool whole = residency_of(job.request) != engine::Residency::one_block;
  return program + kTokenizerBytes + caches + (whole ? engine::fitting_bytes(job.model).value_or(0) : 0);
}

void forecast_gptq(const PlannedJob& job, Forecast& forecast) {
  const model::Architecture& a = job.model.architecture();
  const auto codecs = codecs_by_linear(job.prepared.plan.plan, a);
  const importance::TextSize text = rounding_text(job.request).size();
  const RoundingOptions& options = job.request.rounding;
  const std::uint64_t program = forecast.memory_bytes, limit = job.request.memory_limit.value_or(~std::uint64_t{0});
  const std::size_t together = Rounding::sequences_together(a, text.samples, text.seq_len);
  const std::size_t samples = sequences_of_a_rank(text.samples, together, ranks_to_round(job.request).size());
  const std::uint64_t tokens = together * text.seq_len;
  const std::uint64_t sums = std::min(quantize::kSumsHeld, CalibrationParts(text.samples, together, Ranks()).count());
  const std::uint64_t tunes = options.tune.steps > 0 ? 1 : 0, original = options.asymmetric ? 1 : tunes;
  std::uint64_t bytes = program + kTokenizerBytes + largest_block(job.model, codecs, tokens, sums, options).sum();
  if (const std::size_t l = a.embedding(); l != model::kNoLinear && codecs[l]->has_codes())
    bytes += codec::stored_bytes(*codecs[l], a.linears[l].rows, a.linears[l].cols);  // looked up in every pass
  bytes += tokens * Rounding::floats_per_token(a) * kFloat * (1 + original);
  bytes += tokens * std::max(a.mixed_size(), a.dense_size()) * kFloat * original;  // rows of the original at a site
  bytes += 3 * tunes * options.tune.batch_tokens * Rounding::floats_per_token(a) * kFloat;
  // The inputs of a block are kept beside the states for tuning, and where the second half reads them.
  const std::uint64_t inputs = engine::reads_input(a, engine::Half::feed_forward) ? 1 : 0;
  const std::uint64_t streams = 1 + std::max(tunes, inputs) + original * (1 + inputs);
  const std::uint64_t of_token = (streams * a.hidden + (1 + original) * a.shared_size) * kFloat;
  const std::uint64_t states = std::uint64_t{samples} * text.seq_len * of_token;
  const std::uint64_t borrowed = std::min(states, tokens * of_token);
  forecast.spills = bytes + states > limit;
  bytes += forecast.spills ? borrowed : states;
  if (forecast.spills) forecast.disk_bytes += states;
  const std::uint64_t embedding = a.vocab * a.hidden * 2;  // copied at the beginning, while nothing else is held
  bytes = std::max(bytes, program + kTokenizerBytes + (forecast.spills ? borrowed : states) + embedding);
  const std::uint64_t rows = Rounding::kept_rows_bytes(a, samples * text.seq_len);
  forecast.keeps_rows = rows <= kKeptRowsBytes && bytes + rows <= limit;
  if (forecast.keeps_rows) bytes += rows;
  forecast.memory_bytes = std::max(bytes, bytes_of_writing(job, program));
}

void write_gptq(const PlannedJob& job, const Forecast& forecast, JobFolder& folder, Listener& listener,
                Written& written) {
  StoredParts parts(folder);
  const importance::CalibrationSet set = text_of(job, folder);
  if (!folder.complete()) round_and_write(job, forecast, set, folder, parts, listener, written);
  written.linears = rounded_linears(job.model.architecture(), parts, folder.file("journal").string());
  written.calibration = set.source;
}

}  // namespace strata::pipeline
