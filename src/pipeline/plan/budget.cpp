// Budgets as text, and the rule that there is only one.
// Sizes are said in the largest unit that is exact, so that a user finds the words that were typed.
#include "pipeline/plan/budget.h"

#include <array>
#include <utility>

#include "core/error.h"

namespace strata::pipeline {
namespace {

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};
template <class... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;  // clang 14 does not deduce it

}  // namespace

void give(Budget& budget, Budget value) {
  if (is_given(budget) && is_given(value))
    fail_usage("{} and {} contradict each other; give one of --bits, --size, --fit, --like and --max-kl",
               text_of(budget), text_of(value));
  if (is_given(value)) budget = std::move(value);
}

std::string text_of(const Budget& budget) {
  return std::visit(Overloaded{[](std::monostate) { return std::string(); },
                               [](const BitsBudget& b) { return fmt::format("--bits {}", b.bits); },
                               [](const SizeBudget& b) { return "--size " + exact_size(b.bytes); },
                               [](const MemoryBudget& b) { return "--fit " + exact_size(b.bytes); },
                               [](const KlBudget& b) { return fmt::format("--max-kl {}", b.nats); },
                               [](const StockBudget& b) { return "--like " + b.mix; }},
                    budget);
}

std::string exact_size(std::uint64_t bytes) {
  constexpr std::array<std::pair<std::uint64_t, const char*>, 6> kUnits{{{std::uint64_t{1} << 30, "GiB"},
                                                                         {1'000'000'000, "GB"},
                                                                         {std::uint64_t{1} << 20, "MiB"},
                                                                         {1'000'000, "MB"},
                                                                         {std::uint64_t{1} << 10, "KiB"},
                                                                         {1'000, "KB"}}};
  for (const auto& [unit, name] : kUnits)
    if (bytes != 0 && bytes % unit == 0) return fmt::format("{}{}", bytes / unit, name);
  return fmt::format("{}", bytes);
}

}  // namespace strata::pipeline
