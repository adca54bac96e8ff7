// Shows calibration texts and plans.
// A table has one row a codec and one column a role, so that a plan of any size fits a screen.
#include "cli/options.h"

#include <algorithm>
#include <map>

#include "core/units.h"

namespace strata::cli {

void declare_show_calibration(CommandLine& line, bool& show) {
  line.flag({.name = "--show-calib", .help = "Print the calibration text to stderr", .effect = Effect::run}, show);
}

void show_calibration(const importance::CalibrationSet& set, const model::Tokenizer& tokenizer) {
  remark("calibration: {}\n", set.source.text());
  for (std::size_t i = 0; i < set.sequences.size(); ++i)
    remark("--- {} ---\n{}\n", i + 1, tokenizer.decode(set.sequences[i], model::SkipSpecial::no));
}

void Remarks::on_calibration(const model::Model& model, const importance::CalibrationSet& set) {
  if (shows_calibration_) show_calibration(set, model::Tokenizer::of(model));
}

void show_plan(const pipeline::PlanResult& result, const model::Model& model) {
  const pipeline::Plan& plan = result.plan;
  fmt::print("{} for {}: linears {} at {:.3f} bits ({:.3f} nominal), whole output {}\n", plan.preset, plan.target,
             human_bytes(plan.block_bytes()), plan.bits(), plan.nominal_bits(), human_bytes(result.output_bytes));
  std::map<std::string, std::map<std::string, std::size_t>> counts;  // codec -> role -> linears
  const auto codecs = pipeline::codecs_by_linear(plan, model.architecture());
  std::vector<std::vector<std::string>> rows = {{"codec"}};  // the roles in the order of the forward pass
  for (std::size_t l = 0; l < codecs.size(); ++l) {
    const model::Linear& linear = model.architecture().linears[l];
    if (plan.groups[linear.group].left_dense) continue;
    const std::string role(model::role_name(linear.role));
    if (std::ranges::find(rows[0], role) == rows[0].end()) rows[0].push_back(role);
    ++counts[codecs[l]->name + (model.source_codec(l) == codecs[l] ? ", as in the source" : "")][role];
  }
  for (const auto& [codec, by_role] : counts) {
    rows.push_back({codec});
    for (std::size_t r = 1; r < rows[0].size(); ++r) {
      const auto it = by_role.find(rows[0][r]);
      rows.back().push_back(it == by_role.end() ? "-" : fmt::format("{}", it->second));
    }
  }
  fmt::print("{}", table(rows));
  if (!result.least_version.empty()) fmt::print("loads in {} and newer\n", result.least_version);
  for (const std::string& note : result.notes) fmt::print("note: {}\n", note);
}

void show_left_out(const pipeline::PlanResult& result) {
  std::vector<std::pair<std::string, std::string>> reasons;
  for (const pipeline::LeftOut& item : result.left_out)
    if (!reasons.empty() && reasons.back().first == item.reason)
      reasons.back().second += ", " + item.codec;
    else
      reasons.emplace_back(item.reason, item.codec);
  if (!reasons.empty()) fmt::print("left out:\n");
  for (const auto& [reason, codecs] : reasons) fmt::print("  {}: {}\n", codecs, reason);
}

}  // namespace strata::cli
