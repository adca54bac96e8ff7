// One row for each value that the scores hold.
// Names are those of tensors in files, which may hold anything; RFC 4180 says how a cell is quoted.
#include "pipeline/report/scores_csv.h"

namespace strata::pipeline {
namespace {

std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

class Table {
 public:
  explicit Table(const model::Architecture& architecture) : a_(architecture) {}

  void add_items(const std::string& signal, const char* of, const importance::ItemScores& scores) {
    for (std::size_t i = 0; i < scores.values.size(); ++i)
      add(signal, of, name(of, i), "", scores.values[i],
          scores.standard_errors.empty() ? "" : fmt::format("{}", scores.standard_errors[i]));
  }
  void add_linears(const std::string& signal, const std::vector<importance::LinearScores>& linears) {
    for (const importance::LinearScores& linear : linears)
      for (const importance::CodecScore& score : linear.codecs)
        add(signal, "linear", linear.module, score.codec->name, linear.relative(score),
            linear.normalizer > 0 ? fmt::format("{}", score.standard_error / linear.normalizer) : "");
  }
  void add_choices(const std::string& signal, const std::vector<std::vector<importance::Measurement>>& groups) {
    for (std::size_t g = 0; g < groups.size(); ++g)
      for (const importance::Measurement& measured : groups[g])
        add(signal, "group", name("group", g), measured.codec->name, measured.value,
            fmt::format("{}", measured.standard_error));
  }
  std::string text() && { return std::move(text_); }

 private:
  std::string name(std::string_view of, std::size_t index) const {
    if (of == "block") return fmt::format("{}", index);
    return of == "group" ? a_.groups[index].name : a_.linears[index].module;
  }
  void add(const std::string& signal, const char* of, const std::string& name, const std::string& codec, double value,
           const std::string& standard_error) {
    text_ += fmt::format("{},{},{},{},{},{}\n", cell(signal), of, cell(name), cell(codec), value, standard_error);
  }

  const model::Architecture& a_;
  std::string text_ = "signal,of,name,codec,value,stderr\n";
};

}  // namespace

std::string scores_csv(const importance::Scores& scores, const model::Architecture& architecture) {
  Table table(architecture);
  for (const importance::Signal& signal : importance::signals()) {
    const std::string name(signal.name);
    if (const auto it = scores.blocks.find(name); it != scores.blocks.end()) table.add_items(name, "block", it->second);
    if (const auto it = scores.modules.find(name); it != scores.modules.end())
      table.add_items(name, "linear", it->second);
    if (const auto it = scores.groups.find(name); it != scores.groups.end()) table.add_items(name, "group", it->second);
    if (const auto it = scores.linears.find(name); it != scores.linears.end()) table.add_linears(name, it->second);
    if (const auto it = scores.choices.find(name); it != scores.choices.end()) table.add_choices(name, it->second);
  }
  return std::move(table).text();
}

}  // namespace strata::pipeline
