// Calibration sets from files and from the model itself.
// The hash covers the tokens: it tells apart texts of the same name and the same text under two tokenizers.
#include "importance/calibration.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "core/file.h"
#include "core/hash.h"
#include "engine/sampler.h"
#include "model/json_text.h"
#include "model/text.h"

namespace strata::importance {
namespace {

void check_sizes(std::size_t samples, std::size_t seq_len) {
  if (samples == 0) fail_usage("--samples is 0; calibration needs at least one sequence");
  if (seq_len < 2) fail_usage("--seq-len {} is too small; use at least 2", seq_len);
}

model::TextPieces cut_file(const model::Tokenizer& tokenizer, const std::filesystem::path& file, std::size_t length,
                           std::size_t limit, const model::ChatTemplate* chat) {
  if (model::is_json_text(file)) return model::cut_json_text(tokenizer, chat, file, length, limit);
  return model::cut_text_file(tokenizer, file, length, limit);
}

}  // namespace

CalibrationSet calibration_from_tokens(std::vector<std::vector<engine::Token>> sequences, CalibrationSource source) {
  if (sequences.empty()) fail("the calibration set is empty");
  CalibrationSet set;
  set.source = std::move(source);
  set.source.samples = sequences.size();
  set.source.seq_len = sequences[0].size();
  set.source.hash = fnv1a({});
  if (set.source.seq_len < 2) fail("the calibration sequences have fewer than 2 tokens");
  for (const auto& sequence : sequences) {
    if (sequence.size() != set.source.seq_len)
      fail("the calibration sequences have {} and {} tokens; they must be equally long", set.source.seq_len,
           sequence.size());
    set.source.hash = fnv1a(std::as_bytes(std::span(sequence)), set.source.hash);
  }
  set.sequences = std::move(sequences);
  return set;
}

CalibrationSet calibration_from_files(const model::Tokenizer& tokenizer, std::span<const std::filesystem::path> files,
                                      std::size_t samples, std::size_t seq_len, const model::ChatTemplate* chat) {
  check_sizes(samples, seq_len);
  if (files.empty()) fail("no calibration file is given");
  CalibrationSource source;
  std::vector<std::vector<engine::Token>> sequences;
  std::size_t tokens = 0;
  for (const auto& file : files) {
    source.files.push_back(file.string());
    if (sequences.size() == samples) continue;
    model::TextPieces pieces = cut_file(tokenizer, file, seq_len, samples - sequences.size(), chat);
    tokens += pieces.tokens;
    for (auto& piece : pieces.pieces) sequences.push_back(std::move(piece));
  }
  if (sequences.empty())
    fail("{}: {} tokens of calibration text are fewer than one piece of {}; give more text or a smaller --seq-len",
         fmt::join(source.files, ", "), tokens, seq_len);
  return calibration_from_tokens(std::move(sequences), std::move(source));
}

CalibrationSet calibration_from_model(engine::Engine& engine, const model::Tokenizer& tokenizer, std::size_t samples,
                                      std::size_t seq_len, std::uint64_t seed) {
  check_sizes(samples, seq_len);
  if (!tokenizer.bos() && tokenizer.eos().empty())
    fail(
        "{}: names no token that begins or ends a text, so the model cannot write calibration text itself; give "
        "--calib",
        tokenizer.where());
  const engine::Token first = tokenizer.bos() ? *tokenizer.bos() : tokenizer.eos().front();
  CalibrationSource source;
  source.seed = seed;
  return calibration_from_tokens(engine::self_generate(engine, first, samples, seq_len, seed), std::move(source));
}

std::vector<std::filesystem::path> CalibrationRequest::files() const {
  std::vector<std::filesystem::path> all;
  for (const auto& text : texts) all.insert(all.end(), text.begin(), text.end());
  return all;
}

void CalibrationRequest::fit(const model::Architecture& architecture) {
  if (architecture.learned.positions == 0) return;
  most_tokens = architecture.learned.positions;
  if (seq_len.value_or(0) > most_tokens)
    fail_usage("--seq-len {} is more than the {} positions that this model has learned", *seq_len, most_tokens);
}

void visit(CalibrationRequest& r, OptionVisitor& v) {
  v.heading("Calibration text");
  v.files(
      {.name = "--calib",
       .help = "Texts (UTF-8), or JSON of texts {\"text\": ...} and conversations {\"messages\": [...]}; without any, "
               "the model writes its own. Given several times: texts of other kinds, scored separately and combined",
       .example = "text.txt"},
      r.texts);
  v.option({.name = "--samples",
            .help = fmt::format("Calibration sequences (default: {})", r.defaults.samples),
            .example = "32",
            .least = 1,
            .most = 1 << 20},
           r.samples);
  v.option({.name = "--seq-len",
            .help = fmt::format("Tokens of a calibration sequence (default: {})", r.defaults.seq_len),
            .example = "512",
            .least = 2,
            .most = 1 << 20},
           r.seq_len);
  v.option({.name = "--seed",
            .help = "Seed of the text that the model writes, and of all else that is random",
            .example = "1"},
           r.seed);
}

namespace {

CalibrationSet one_text(engine::Engine& engine, const model::Tokenizer& tokenizer, CalibrationRequest request) {
  request.fit(engine.architecture());
  const TextSize size = request.size();
  const std::vector<std::filesystem::path> files = request.files();
  if (files.empty()) return calibration_from_model(engine, tokenizer, size.samples, size.seq_len, request.seed);
  std::optional<model::ChatTemplate> chat;
  if (std::ranges::any_of(files, model::is_json_text))
    chat = model::ChatTemplate::from_files(model::tokenizer_files(engine.model()), engine.model().path().string());
  return calibration_from_files(tokenizer, files, size.samples, size.seq_len, chat ? &*chat : nullptr);
}

}  // namespace

CalibrationSet make_calibration(engine::Engine& engine, const model::Tokenizer& tokenizer,
                                const CalibrationRequest& request) {
  if (request.texts.size() < 2) return one_text(engine, tokenizer, request);
  CalibrationRequest share = request;
  share.samples = std::max<std::size_t>(1, request.size().samples / request.texts.size());
  std::vector<std::vector<engine::Token>> sequences;
  for (CalibrationSet& set : make_calibrations(engine, tokenizer, share))
    std::ranges::move(set.sequences, std::back_inserter(sequences));
  CalibrationSource source;
  for (const auto& file : request.files()) source.files.push_back(file.string());
  return calibration_from_tokens(std::move(sequences), std::move(source));
}

std::vector<CalibrationSet> make_calibrations(engine::Engine& engine, const model::Tokenizer& tokenizer,
                                              const CalibrationRequest& request) {
  std::vector<CalibrationSet> result;
  CalibrationRequest one = request;
  if (request.texts.size() < 2) result.push_back(one_text(engine, tokenizer, one));
  for (std::size_t t = 0; request.texts.size() > 1 && t < request.texts.size(); ++t) {
    one.texts = {request.texts[t]};
    result.push_back(one_text(engine, tokenizer, one));
  }
  return result;
}

void share(const Ranks& ranks, CalibrationSet& set) {
  json value;
  if (ranks.is_first()) value = {{"source", set.source.to_json()}, {"tokens", set.sequences}};
  ranks.broadcast(value);
  if (ranks.is_first()) return;
  const std::string where = "the calibration set of the first rank";
  set = calibration_from_tokens(get<std::vector<std::vector<engine::Token>>>(value, "tokens", where),
                                CalibrationSource::from_json(get<json>(value, "source", where), where));
}

json CalibrationSource::to_json() const {
  json value = {{"source", files.empty() ? "model" : "files"}};
  if (files.empty())
    value["seed"] = seed;
  else
    value["files"] = files;
  value.update(identity());
  return value;
}

json CalibrationSource::identity() const {
  return {{"samples", samples}, {"seq_len", seq_len}, {"hash", fmt::format("{:016x}", hash)}};
}

CalibrationSource CalibrationSource::from_json(const json& value, const std::string& where) {
  CalibrationSource source;
  const auto kind = get<std::string>(value, "source", where);
  if (kind == "files")
    source.files = get<std::vector<std::string>>(value, "files", where);
  else if (kind == "model")
    source.seed = get<std::uint64_t>(value, "seed", where);
  else
    fail("{}: 'source' is \"{}\", expected \"files\" or \"model\"", where, kind);
  if (kind == "files" && source.files.empty()) fail("{}: 'files' is empty", where);
  source.samples = get<std::size_t>(value, "samples", where);
  source.seq_len = get<std::size_t>(value, "seq_len", where);
  const auto hash = get<std::string>(value, "hash", where);
  if (hash.size() != 16 || hash.find_first_not_of("0123456789abcdef") != std::string::npos)
    fail("{}: 'hash' is not 16 hexadecimal digits", where);
  source.hash = std::stoull(hash, nullptr, 16);
  return source;
}

std::string CalibrationSource::text() const {
  if (files.empty()) return fmt::format("{} x {} tokens that the model wrote (seed {})", samples, seq_len, seed);
  return fmt::format("{} x {} tokens of {}", samples, seq_len, fmt::join(files, ", "));
}

}  // namespace strata::importance
