// Options that several verbs share: calibration, and what a plan is to be.
// Their names and defaults are the same everywhere.
#pragma once
#include <string>
#include <vector>

#include "cli/verb.h"
#include "pipeline/choose/costs.h"
#include "pipeline/measure/search.h"

namespace strata::cli {

struct CalibrationOptions {
  std::vector<std::vector<std::string>> texts;  ///< the files of every --calib
  std::size_t samples = 16, seq_len = 256;
  bool show = false;
  CLI::Option *samples_option = nullptr, *seq_len_option = nullptr;
};
void add_options(CLI::App& app, CalibrationOptions& options);
importance::CalibrationRequest request_of(const CalibrationOptions& options, const Common& common);
/// The decoded beginning of every sequence, for --show-calib.
void show_calibration(const importance::CalibrationSet& set, const model::Tokenizer& tokenizer);

struct PlanOptions {
  std::string preset = "best", target = "vllm", size, signal = "lim", high = "int4_g64", low = "int2_g32", codecs,
              shard_size, embed_codec, like, fit, levels, prior_file, search_time;
  std::vector<std::string> keep, assign, at_least;
  bool search = false;
  double bits = 0, max_kl = 0;
  std::size_t n_high = 0, context = 4096, batch = 1, search_steps = 0;
  CLI::Option *bits_option = nullptr, *max_kl_option = nullptr, *n_high_option = nullptr, *target_option = nullptr,
              *context_option = nullptr, *batch_option = nullptr, *search_steps_option = nullptr;
};
void add_options(CLI::App& app, PlanOptions& options);
/// Throws UsageError for malformed values.
pipeline::PlanRequest request_of(const PlanOptions& options);
/// How long to search for a better plan, as asked; without steps when not at all. Throws UsageError.
pipeline::SearchOptions search_of(const PlanOptions& options, const model::Architecture& architecture);
/// An output whose name ends in .gguf is for llama.cpp; throws UsageError when --for says otherwise.
void follow_output(PlanOptions& options, const std::string& output);

/// "a,b,c" -> {"a", "b", "c"}; empty parts are dropped.
std::vector<std::string> split_list(const std::string& text);

/// The plan for people: totals, codecs by role, notes, what was left out.
void show_plan(const pipeline::PlanResult& result, const model::Model& model);

}  // namespace strata::cli
