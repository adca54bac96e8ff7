// Measures matrix products, attention, scans and log-sum-exp of this machine as shares of peaks measured between the
// runs. Each measure_* checks its answer first and keeps the best of short runs; one benchmark iteration is one such
// call. Environment: STRATA_ISA chooses the kernels; STRATA_BENCH_THREADS the number of threads (default: all).
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdlib>

#include "core/cpu.h"
#include "core/threads.h"
#include "kernel/peaks.h"

namespace {

using namespace strata;
using namespace strata::kernel;

constexpr double kSeconds = 0.5;  // length of each measurement

template <class Measure>
void report(benchmark::State& state, const Measure& measure) {
  for (auto _ : state) {
    const KernelFigure figure = measure();
    state.SetIterationTime(kSeconds);
    if (figure.gflops > 0) state.counters["GFLOPS"] = figure.gflops;
    if (figure.by_bandwidth) state.counters["GB/s"] = figure.gb_per_second;
    state.counters[figure.by_bandwidth ? "share_of_bandwidth" : "share_of_peak"] = figure.share;
  }
}

template <class Measure>
void add(const std::string& name, const Measure& measure) {
  benchmark::RegisterBenchmark(name.c_str(), [measure](benchmark::State& state) { report(state, measure); })
      ->Iterations(1)
      ->UseManualTime();
}

}  // namespace

int main(int argc, char** argv) {
  if (const char* threads = std::getenv("STRATA_BENCH_THREADS")) set_thread_count(std::strtoul(threads, nullptr, 10));
  const MachinePeaks peaks = measure_peaks(2.0);
  fmt::print("{}, {} threads, kernels {}: f32 {:.0f} GFLOPS, bf16 {:.0f} GFLOPS, read {:.1f} GB/s, copy {:.1f} GB/s\n",
             cpu_model_name(), thread_count(), isa_name(selected_isa()), peaks.f32_gflops, peaks.bf16_gflops,
             peaks.read_gb_per_second, peaks.copy_gb_per_second);
  for (const std::size_t tokens : {512, 1})
    for (const Precision precision : {Precision::f32, Precision::bf16})
      for (const MatmulShape& shape : model_shapes())
        add(fmt::format("matmul/{}/{}/{}x{}/tokens:{}", precision == Precision::bf16 ? "bf16" : "f32", shape.model,
                        shape.rows, shape.cols, tokens),
            [=] { return measure_matmul(shape, tokens, precision, kSeconds); });
  add("attention/SmolLM2/tokens:512", [] { return measure_attention(512, 9, 3, 64, kSeconds); });
  add("attention/Llama-8B/tokens:512", [] { return measure_attention(512, 32, 8, 128, kSeconds); });
  add("delta_rule/Qwen3-Next/tokens:512", [] { return measure_delta_rule(512, 16, 32, 128, kSeconds); });
  add("state_space/Nemotron-3-Nano/tokens:512", [] { return measure_state_space(512, 64, 8, 64, 128, kSeconds); });
  add("log_sum_exp/49152/rows:512", [] { return measure_log_sum_exp(49152, kSeconds); });
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
