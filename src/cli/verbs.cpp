// The table of verbs, in the order in which a user needs them.
// `strata --help` lists them from here.
#include <array>

#include "cli/verb.h"

namespace strata::cli {

extern const Verb inspect_verb, score_verb, plan_verb, quantize_verb, tune_verb, eval_verb, sweep_verb, report_verb,
    generate_verb, chat_verb, convert_verb, export_plan_verb, bench_verb, pull_verb, push_verb;

std::span<const Verb> verbs() {
  static const std::array<Verb, 15> all = {inspect_verb, score_verb,       plan_verb,   quantize_verb, tune_verb,
                                           eval_verb,    sweep_verb,       report_verb, generate_verb, chat_verb,
                                           convert_verb, export_plan_verb, bench_verb,  pull_verb,     push_verb};
  return all;
}

}  // namespace strata::cli
