// The table of signals.
// A new signal is a file with its function and a row here.
#include <algorithm>

#include "core/error.h"
#include "importance/signal.h"
#include "importance/signals/fisher.h"
#include "importance/signals/prior.h"

namespace strata::importance {
namespace {

using enum Direction;

constexpr Signal kSignals[] = {
    {.name = "lim", .meaning = "minus the cosine between a block's input and output, mean over tokens", .of_rows = lim},
    {.name = "lim_flat",
     .meaning = "minus the cosine between a block's input and output as flat vectors",
     .of_rows = lim_flat},
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
    {.name = "residual",
     .meaning = "magnitude of the residual stream behind a block",
     .direction = smaller_is_important,
     .of_rows = residual},
    {.name = "spike",
     .meaning = "largest magnitude among a linear's inputs, mean over sequences",
     .level = Level::linear,
     .observe_linears = observe_spike},
    {.name = "spike_out",
     .meaning = "largest magnitude among a linear's outputs, mean over sequences",
     .level = Level::linear,
     .observe_linears = observe_spike_out},
    {.name = "prior",
     .meaning = "rules of the literature, by kind of linear and depth",
     .level = Level::group,
     .of_architecture = prior},
    {.name = "act_mse",
     .meaning = "squared error of a linear under a codec, weighted by the mean square of its inputs",
     .level = Level::error,
     .of_linear = act_mse},
    {.name = "hessian",
     .meaning = "squared error of a linear's output under a codec: tr(dW H dW^T) with the Hessian of its inputs",
     .level = Level::error,
     .costly = true,
     .of_linear = hessian,
     .needs_products = true},
    {.name = "fisher",
     .meaning = "KL divergence that a linear's error under a codec causes, by gradients of the whole model",
     .level = Level::error,
     .costly = true,
     .of_linear = fisher,
     .needs_gradients = true,
     .in_nats = true},
    {.name = "alpha",
     .meaning = "KL divergence of the logits per unit of relative error in one fusion group, measured with nvfp4",
     .level = Level::group,
     .costly = true,
     .of_groups = alpha,
     .measured_with = {"nvfp4", "mxfp4", "int4_channel"},
     .prices = {{Grid::floats}}},
    {.name = "alpha_int",
     .meaning = "the same, measured with int4_g64",
     .level = Level::group,
     .costly = true,
     .of_groups = alpha,
     .measured_with = {"int4_g64", "int4_g32", "int4_channel"},
     .prices = {{Grid::integers, Width::more_bits}}},
    {.name = "alpha_int3",
     .meaning = "the same, measured with int3_g64",
     .level = Level::group,
     .costly = true,
     .of_groups = alpha,
     .measured_with = {"int3_g64", "int3_g32", "int3_channel"},
     .prices = {{Grid::integers, Width::few_bits}}},
    {.name = "alpha_ggml",
     .meaning = "the same, measured with iq4_nl",
     .level = Level::group,
     .costly = true,
     .of_groups = alpha,
     .measured_with = {"iq4_nl"},
     .prices = {{Grid::ggml, Width::more_bits}}},
    {.name = "alpha_ggml3",
     .meaning = "the same, measured with q3_k",
     .level = Level::group,
     .costly = true,
     .of_groups = alpha,
     .measured_with = {"q3_k"},
     .prices = {{Grid::ggml, Width::few_bits}}},
    {.name = "kl",
     .meaning = "KL divergence of the logits with one fusion group at one codec, measured",
     .level = Level::choice,
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

bool concerns(const Signal& signal, std::span<const codec::Codec* const> codecs) {
  return !signal.prices ||
         std::ranges::any_of(codecs, [&](const codec::Codec* codec) { return signal.prices->contain(*codec); });
}

}  // namespace strata::importance
