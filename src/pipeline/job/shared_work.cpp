// One broadcast says what is to be done. An error on any rank ends all of them, so that nobody waits for nothing.
#include "pipeline/job/shared_work.h"

#include <optional>
#include <utility>

#include "model/smoothing.h"

namespace strata::pipeline {
namespace {

constexpr const char* kWork = "work";
constexpr const char* kNothing = "nothing";

using Help = void (*)(const model::Model& model, const QuantizeRequest& request, const json& details);
constexpr std::pair<std::string_view, Help> kHelp[] = {{"score", help_to_score},
                                                       {"measure inputs", help_to_measure_inputs},
                                                       {"measure plans", help_to_measure_plans},
                                                       {"round", help_to_round},
                                                       {"encode", help_to_encode},
                                                       {"verify", help_to_verify}};

}  // namespace

void ask_for_help(std::string_view work, json details) {
  if (!all_ranks().many()) return;
  details[kWork] = work;
  all_ranks().broadcast(details);
}

void help_first_rank(const model::Model& model, const QuantizeRequest& request) {
  std::optional<model::Model> smoothed;
  for (;;) {
    json details;
    all_ranks().broadcast(details);
    const auto work = details[kWork].get<std::string>();
    if (work == kNothing) return;
    if (work == kSmooth) smoothed.emplace(model.smoothed(details["exponents"].get<model::ChannelExponents>()));
    for (const auto& [name, help] : kHelp)
      if (name == work) help(smoothed ? *smoothed : model, request, details);
  }
}

json names_of(const Codecs& codecs) {
  json names = json::array();
  for (const codec::Codec* codec : codecs) names.push_back(codec->name);
  return names;
}

Codecs codecs_named(const json& names) {
  Codecs codecs;
  for (const json& name : names) codecs.push_back(&codec::by_name(name.get<std::string>()));
  return codecs;
}

Ranks ranks_to_round(const QuantizeRequest& request) { return request.rounding.tune.steps > 0 ? Ranks() : all_ranks(); }

void dismiss_helpers() { ask_for_help(kNothing); }

}  // namespace strata::pipeline
