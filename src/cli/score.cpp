// strata score: the importance of every block and linear, into scores.json.
// pipeline::score does the work; this file says what a person sees of it.
#include <map>
#include <memory>

#include "cli/options.h"
#include "pipeline/job/scoring.h"

namespace strata::cli {
namespace {

void show(const importance::Scores& scores) {
  std::vector<std::vector<std::string>> rows = {{"block"}};
  for (const auto& [name, signal] : scores.blocks) rows[0].push_back(name);
  if (rows[0].size() == 1) return;
  const std::size_t blocks = scores.blocks.begin()->second.values.size();
  for (std::size_t b = 0; b < blocks; ++b) {
    rows.push_back({fmt::format("{}", b)});
    for (const auto& [name, signal] : scores.blocks) rows.back().push_back(fmt::format("{:.5f}", signal.values[b]));
  }
  fmt::print("{}", table(rows));
}

/// Prints how far the order of each signal can be trusted: between the halves of the text, and between texts.
void show_ranking(const importance::Scores& scores) {
  if (scores.stability.empty()) return;
  fmt::print("rank correlation between the halves of {} calibration text{}\n", scores.sets.empty() ? "the" : "each",
             scores.sets.empty() ? "" : ", and between the texts");
  std::vector<std::vector<std::string>> rows = {{"signal", "halves"}};
  for (std::size_t i = 0; i < scores.sets.size(); ++i)
    for (std::size_t j = i + 1; j < scores.sets.size(); ++j) rows[0].push_back(fmt::format("{} / {}", i + 1, j + 1));
  for (const auto& [name, halves] : scores.stability) {
    rows.push_back({name, fmt::format("{:.3f}", halves)});
    for (std::size_t i = 0; i < scores.sets.size(); ++i)
      for (std::size_t j = i + 1; j < scores.sets.size(); ++j)
        rows.back().push_back(
            fmt::format("{:.3f}", importance::rank_agreement(scores.sets[i], scores.sets[j]).at(name)));
  }
  fmt::print("{}", table(rows));
}

/// Prints a row for every signal: for each measured codec its rank correlation with kl and how much of kl's top quarter
/// it finds, then how stable the signal is and how long it took.
void show_judgement(const pipeline::Scored& scored) {
  fmt::print("signals against kl: rank correlation, and how much of its top quarter they find\n");
  std::vector<std::vector<std::string>> rows = {{"signal", "of"}};
  std::map<std::string, std::vector<std::string>> cells;
  for (const pipeline::JudgedCodec& judged : scored.judged) {
    rows[0].insert(rows[0].end(), {judged.codec->name, "top"});
    for (const importance::Judgement& j : judged.signals) {
      if (&judged == &scored.judged.front()) rows.push_back({j.signal, std::string(j.level)});
      cells[j.signal].insert(cells[j.signal].end(),
                             {fmt::format("{:.3f}", j.spearman), fmt::format("{:.0f} %", 100 * j.top_quarter)});
    }
  }
  rows[0].insert(rows[0].end(), {"halves", "seconds"});
  rows.push_back({"kl", "group"});
  for (std::size_t i = 0; i < scored.judged.size(); ++i) cells["kl"].insert(cells["kl"].end(), {"1.000", "100 %"});
  const auto cell = [](const std::map<std::string, double>& values, const std::string& name, int digits) {
    const auto it = values.find(name);
    return it == values.end() ? std::string("-") : fmt::format("{:.{}f}", it->second, digits);
  };
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const std::string name = rows[i][0];
    rows[i].insert(rows[i].end(), cells[name].begin(), cells[name].end());
    rows[i].insert(rows[i].end(), {cell(scored.scores.stability, name, 3), cell(scored.seconds, name, 1)});
  }
  fmt::print("{}", table(rows));
}

struct Options {
  pipeline::ScoringRequest request;
  bool show_calibration = false;
};

void run(const Options& options, const Common& common) {
  Remarks remarks(options.show_calibration);
  const pipeline::Scored scored = pipeline::score(options.request, remarks);
  print_json(common, pipeline::to_json(scored));
  if (common.json_output) return;
  const pipeline::ScoringRequest& request = options.request;
  show(scored.scores);
  if (scored.of_weights_alone) {
    fmt::print("{}: of weights alone; {} was not run\n", request.output, request.model.string());
    return;
  }
  show_ranking(scored.scores);
  if (request.judge) show_judgement(scored);
  fmt::print("{} on {} in {:.1f} s\n", request.output, scored.scores.calibration.text(), scored.took);
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto options = std::make_shared<Options>();
  visit(options->request, line);
  declare_show_calibration(line, options->show_calibration);
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb score_verb = {
    "score", "Measure the importance of every block and linear",
    "  strata score MODEL -o scores.json\n"
    "  strata score MODEL -o scores.json --calib wiki.txt --samples 64 --seq-len 512\n"
    "  strata score MODEL -o scores.json --calib wiki.txt --calib code.txt    # each by itself, then combined\n"
    "  strata score MODEL -o scores.json --for llama.cpp\n"
    "  strata score MODEL -o scores.csv                    # a table for a spreadsheet\n"
    "  strata score MODEL -o scores.json --signals lim,zd --imatrix-out imatrix.gguf\n"
    "  strata score MODEL -o scores.json --judge          # may be stopped: the same command resumes\n",
    setup, RunBy::all_ranks};

}  // namespace strata::cli
