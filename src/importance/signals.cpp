// The table of signals.
// A new signal is a file with its function and a row here.
#include "core/error.h"
#include "importance/signal.h"

namespace strata::importance {
namespace {

using enum Direction;

constexpr Signal kSignals[] = {
    {.name = "lim",
     .meaning = "minus the cosine between a block's input and output, mean over tokens",
     .observe = observe_lim},
    {.name = "lim_flat",
     .meaning = "minus the cosine between a block's input and output as flat vectors",
     .observe = observe_lim_flat},
    {.name = "zd",
     .meaning = "share of a block's weights more than one standard deviation from their mean",
     .direction = smaller_is_important,
     .of_block = zd},
    {.name = "zd_linear",
     .meaning = "the same share of each linear alone, mean over the block's linears",
     .direction = smaller_is_important,
     .of_block = zd_linear},
    {.name = "extremal", .meaning = "largest magnitude of a block's weights over the mean one", .of_block = extremal},
    {.name = "kurtosis", .meaning = "fourth standardized moment of a block's weights", .of_block = kurtosis},
    {.name = "act_mse",
     .meaning = "squared error of a linear under a codec, weighted by the mean square of its inputs",
     .of_linear = act_mse},
    {.name = "alpha",
     .meaning = "KL divergence of the logits per unit of relative error in one fusion group, measured",
     .of_groups = alpha},
    {.name = "kl",
     .meaning = "KL divergence of the logits with one fusion group at one codec, measured",
     .costly = true,
     .of_choices = kl},
};

}  // namespace

std::span<const Signal> signals() { return kSignals; }

const Signal& signal_by_name(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Signal& signal : kSignals) {
    if (signal.name == name) return signal;
    names.push_back(signal.name);
  }
  fail("unknown signal '{}'; the known are {}", name, fmt::join(names, ", "));
}

std::vector<Estimate> PerSequence::means() const {
  std::vector<Estimate> result;
  for (const std::vector<double>& values : values_) result.push_back(estimate(values));
  return result;
}

}  // namespace strata::importance
