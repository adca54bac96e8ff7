// What a report shows, gathered part by part into one JSON value: OUT.report.json, whose schema is in docs/files.md.
// Every part may be missing; the page then says how to get it.
#pragma once
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "eval/evaluate.h"
#include "importance/scores.h"
#include "pipeline/choose/trade_off.h"
#include "pipeline/plan/plan.h"

namespace strata::pipeline {

class ReportData {
 public:
  ReportData();
  /// Of a file written before. The file is hostile: throws Error when it is no report data or of another version.
  static ReportData read(const std::filesystem::path& path);

  /// The original: names, sizes, and the grid of blocks and roles that everything else is drawn on.
  void set_model(const model::Model& model);
  /// `command`, here and below: what a person types to get the part again.
  void set_plan(const Plan& plan, const model::Architecture& architecture, const std::string& command);
  /// A checkpoint without its plan: codecs as they are on disk, costs unknown. It gives the grid where there is none.
  void set_plan(const model::Model& quantized, const std::string& command);
  /// The output on disk. fingerprint: of the checkpoint, so that the data is never shown for another.
  void set_output(const std::filesystem::path& path, std::uint64_t bytes, const std::string& fingerprint);
  /// Every signal; and the judge's table when kl is among them. seconds: by signal, may be empty.
  void set_scores(const importance::Scores& scores, const model::Architecture& architecture,
                  const std::map<std::string, double>& seconds, const std::string& command);
  void set_trade_off(const TradeOff& trade_off, const std::string& command);
  /// One more evaluation; the one of the same text is replaced. text: what it was measured on, for people.
  void add_evaluation(const json& evaluation, const std::string& text, const std::string& command);
  /// sweep.json as it is. Throws Error when it is none; `where` opens the sentence.
  void set_sweep(const json& sweep, const std::string& where, const std::string& command);

  struct Sample {
    std::string prompt, original, quantized;
  };
  void set_texts(std::span<const Sample> samples, const std::string& command);

  /// Of the parts, empty when they are not there: the checkpoint's fingerprint, the original's, the plan's target.
  std::string output_fingerprint() const;
  std::string model_fingerprint() const;
  std::string target() const;
  /// The name of the method that the plan's weights were rounded by; the default's where its request says nothing.
  std::string method() const;
  /// With "missing": what is not there, and how to get it.
  json to_json() const;

 private:
  explicit ReportData(json value) : value_(std::move(value)) {}
  json value_;
};

/// OUT -> OUT.report.json, OUT.report.html beside it: a checkpoint's own bytes are untouched.
std::filesystem::path beside(const std::filesystem::path& output, const std::string& suffix);

/// Writes the data to OUT.report.json, where a later `strata report` finds it, and the page to `page`. False when this
/// program has no page. For data that cannot be told apart from a path: `data_path` empty writes the page only.
bool write_report(const ReportData& data, const std::filesystem::path& data_path, const std::filesystem::path& page);

/// Words as a person would type them in a shell: quoted where they must be.
std::string shell_command(std::span<const std::string> words);

}  // namespace strata::pipeline
