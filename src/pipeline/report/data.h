// What a report shows, gathered part by part into one JSON value: OUT.report.json, whose schema is in docs/files.md.
// Every part may be missing; the page then says how to get it. All parts are of one checkpoint and its one original.
#pragma once
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "importance/scores.h"
#include "pipeline/choose/trade_off.h"
#include "pipeline/plan/plan.h"

namespace strata::pipeline {

/// In every function, `command` is what a person types to get the part again, and `where` is the file or folder that
/// the part came from, which opens the sentence when it belongs to another model than the parts that are there.
class ReportData {
 public:
  ReportData();
  /// Reads a file that write_report wrote. The file is hostile: throws Error when it is no report data or of another
  /// version. Evaluations in it that are not of its output, or do not say what they are of, are left out.
  static ReportData read(const std::filesystem::path& path);

  /// Sets names and sizes of the original, and the grid of blocks and roles that everything else is drawn on. Throws
  /// Error when a part that is there belongs to another original, or when the output has other linears.
  void set_model(const model::Model& model);
  /// Sets codecs, bytes and costs of every group; without costs where rules made the plan and nothing was measured.
  void set_plan(const Plan& plan, const model::Architecture& architecture, const std::string& command);
  /// Describes a checkpoint without its plan: codecs as they are on disk, costs unknown. Sets the grid where there is
  /// none.
  void set_plan(const model::Model& quantized, const std::string& command);
  /// Names the output on disk. fingerprint: the checkpoint's, so that the data is never shown for another.
  void set_output(const std::filesystem::path& path, std::uint64_t bytes, const std::string& fingerprint);
  /// Sets every signal, and the judge's table when kl was measured for enough groups. seconds: what each signal took;
  /// may be empty.
  void set_scores(const importance::Scores& scores, const model::Architecture& architecture,
                  const std::map<std::string, double>& seconds, const std::string& command);
  /// Prices the plan that is there by these costs; leaves it as it is when they do not price all of its codecs.
  void set_costs(const Costs& costs, const model::Architecture& architecture);
  void set_trade_off(const TradeOff& trade_off, const std::string& command);
  /// Adds an evaluation of the output (eval::entry_of), in place of an earlier one of the same text. text: what it was
  /// measured on, in words. Throws Error when it is of another checkpoint, or against another original.
  void add_evaluation(json entry, const std::string& text, const std::string& command, const std::string& where);
  /// Takes sweep.json as it is. Throws Error when it is none, or of another original.
  void set_sweep(const json& sweep, const std::string& where, const std::string& command);

  struct Sample {
    std::string prompt, original, quantized;
  };
  void set_texts(std::span<const Sample> samples, const std::string& command);

  /// The fingerprint of the checkpoint, the fingerprint of the original (from the first part that has it), and the
  /// plan's target; each is empty when no part says it.
  std::string output_fingerprint() const;
  std::string original_fingerprint() const;
  std::string target() const;
  /// The name of the method that the plan's weights were rounded by; the default's where its request says nothing.
  std::string method() const;
  /// All parts, and "missing" (missing.h): what is not there, why, and how to get it.
  json to_json() const;

 private:
  explicit ReportData(json value) : value_(std::move(value)) {}
  /// Throws Error unless the fingerprint is that of the original, or no part says which that is.
  void check_original(const std::string& fingerprint, const std::string& where) const;
  json value_;
};

/// The path beside the output, whose own bytes are left alone: OUT -> OUT.report.json, OUT.report.html.
std::filesystem::path beside(const std::filesystem::path& output, const std::string& suffix);

/// Writes the data to `data_path`, where a later `strata report` finds it (nowhere when it is empty), and the page to
/// `page`. False when this program was built without the page.
bool write_report(const ReportData& data, const std::filesystem::path& data_path, const std::filesystem::path& page);

/// Words as a person would type them in a shell: quoted where they must be.
std::string shell_command(std::span<const std::string> words);

}  // namespace strata::pipeline
