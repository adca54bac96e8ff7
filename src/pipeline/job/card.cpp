// From a job's results to its model card.
// A resumed job measures the same and writes the same card, which is why the card's command is made from the request.
#include "pipeline/job/card.h"

#include <algorithm>

#include "core/file.h"
#include "pipeline/output/card_file.h"
#include "pipeline/report/data.h"
#include "pipeline/report/model_card.h"

namespace strata::pipeline {
namespace {

/// The options that a result depends on, as a command line gives them, in the order of their declaration.
class Words final : public OptionVisitor {
 public:
  void declare(const OptionInfo& info, const OptionValue& value) override {
    std::vector<std::string> words;
    if (info.effect == Effect::result) words = words_of(info, value);
    options.push_back(std::move(words));
  }
  std::vector<std::vector<std::string>> options;  ///< empty for what is not given

 private:
  static std::string word_of(const json& value, const OptionValue& option) {
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    return std::string_view(option.placeholder) == "FILE" ? std::filesystem::path(text).filename().string() : text;
  }
  static std::vector<std::string> words_of(const OptionInfo& info, const OptionValue& option) {
    using Kind = OptionValue::Kind;
    const json value = option.get();
    if (value.is_null()) return {};
    if (option.kind == Kind::flag)
      return {value == json(true) ? info.name : "--no-" + info.name.substr(std::string_view("--").size())};
    if (!value.is_array()) return {info.name, word_of(value, option)};
    std::vector<std::string> words;
    if (option.kind != Kind::groups) words.push_back(info.name);
    for (const json& item : value) {
      std::vector<std::string> parts;
      for (const json& part : item.is_array() ? item : json::array({item})) parts.push_back(word_of(part, option));
      if (option.kind == Kind::groups) words.push_back(info.name);
      if (option.kind == Kind::many) parts = {fmt::format("{}", fmt::join(parts, "="))};  // LEFT=RIGHT
      words.insert(words.end(), parts.begin(), parts.end());
    }
    if (option.kind == Kind::one)
      words = {info.name, fmt::format("{}", fmt::join(words.begin() + 1, words.end(), ","))};
    return words;
  }
};

}  // namespace

std::string command_of(const QuantizeRequest& request) {
  Words now, plain;
  QuantizeRequest copy = request, defaults;
  visit(copy, now);
  visit(defaults, plain);
  std::vector<std::string> words = {"strata", "quantize", "MODEL", "-o", "OUT"};
  for (std::size_t i = 0; i < now.options.size(); ++i)
    if (now.options[i] != plain.options[i]) words.insert(words.end(), now.options[i].begin(), now.options[i].end());
  return shell_command(words);
}

void write_card(const model::Model& model, const QuantizeRequest& request, const Quantized& done) {
  const Plan& plan = done.prepared.plan.plan;
  const Target& target = target_of(request);
  const bool quantized = std::ranges::any_of(plan.groups, [](const PlannedGroup& g) { return g.codec->has_codes(); });
  if (!quantized || !target.extension().empty()) return;
  const CardFacts facts{.model = model,
                        .plan = plan,
                        .target = target,
                        .method = std::string(method_of(request).name),
                        .command = command_of(request),
                        .bytes = done.written.bytes,
                        .measured = done.verification ? &*done.verification : nullptr};
  write_text_file(done.written.path / kCardName, card_file(model_card(facts)));
}

}  // namespace strata::pipeline
