// Times one solve() and the whole curve, on instances shaped like models and on 10,000 groups of 12 choices.
// The answer is checked first: within the budget and with a certified gap of at most 0.1 %.
#include "allocate/allocate.h"

#include <benchmark/benchmark.h>

#include "../tests/allocate/instances.h"
#include "core/error.h"

namespace {

using namespace strata;
using namespace strata::allocate;

// The benchmark's argument is the budget, in thousandths of the way from the smallest plan to the largest.
void bench_solve(benchmark::State& state, const std::vector<Group>& groups) {
  const std::uint64_t least = smallest(groups);
  const std::uint64_t budget =
      least + (instances::largest(groups) - least) / 1000 * static_cast<std::uint64_t>(state.range(0));
  const Solution plan = solve(groups, budget);
  STRATA_CHECK(plan.bytes <= budget && plan.gap() <= 1e-3, "{} bytes of {}, gap {}", plan.bytes, budget, plan.gap());
  for (auto _ : state) benchmark::DoNotOptimize(solve(groups, budget));
  state.counters["groups"] = static_cast<double>(groups.size());
  state.counters["gap"] = plan.gap();
}

void bench_pareto(benchmark::State& state, const std::vector<Group>& groups) {
  const Curve curve = pareto(groups);
  STRATA_CHECK(curve.plan(curve.points.size() - 1).cost == solve(groups, UINT64_MAX).cost);
  for (auto _ : state) benchmark::DoNotOptimize(pareto(groups));
  state.counters["points"] = static_cast<double>(curve.points.size());
}

}  // namespace

int main(int argc, char** argv) {
  using benchmark::RegisterBenchmark;
  const auto add = [](const char* name, const std::vector<Group>& groups) {
    RegisterBenchmark((std::string("solve/") + name).c_str(), bench_solve, groups)
        ->Arg(50)
        ->Arg(200)
        ->Arg(500)
        ->Arg(950)
        ->Unit(benchmark::kMillisecond);
    RegisterBenchmark((std::string("pareto/") + name).c_str(), bench_pareto, groups)->Unit(benchmark::kMillisecond);
  };
  add("model_30_blocks", instances::model(1, 30, 576, 1536));
  add("model_80_blocks", instances::model(1, 80, 8192, 28672));
  add("model_2500_blocks", instances::model(1, 2500, 4096, 14336));
  add("shapeless_10000x12", instances::shapeless(1, 10000, 12, 1'000'000'000));
  add("correlated_10000x12", instances::correlated(1, 10000, 12, 1'000'000'000));
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
