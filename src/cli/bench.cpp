// strata bench: what this machine can do, and every hot kernel as a share of it.
// Codecs and the allocator have Google Benchmark programs in bench/.
#include <memory>

#include "cli/verb.h"
#include "core/cpu.h"
#include "core/threads.h"
#include "kernel/peaks.h"

namespace strata::cli {
namespace {

json to_json(const kernel::KernelFigure& figure) {
  return {{"name", figure.name},
          {"tokens", figure.tokens},
          {"precision", figure.precision == kernel::Precision::bf16 ? "bf16" : "f32"},
          {"gflops", figure.gflops},
          {"gb_per_second", figure.gb_per_second},
          {"share", figure.share},
          {"share_of", figure.by_bandwidth ? "read bandwidth" : "arithmetic peak"}};
}

std::vector<kernel::KernelFigure> measure(double seconds) {
  std::vector<kernel::KernelFigure> figures;
  for (const kernel::MatmulShape& shape : kernel::model_shapes())
    for (const auto precision : {kernel::Precision::f32, kernel::Precision::bf16})
      figures.push_back(kernel::measure_matmul(shape, 512, precision, seconds));
  for (const kernel::MatmulShape& shape : kernel::model_shapes())
    figures.push_back(kernel::measure_matmul(shape, 1, kernel::Precision::bf16, seconds));
  figures.push_back(kernel::measure_attention(512, 9, 3, 64, seconds));
  figures.push_back(kernel::measure_attention(512, 32, 8, 128, seconds));
  figures.push_back(kernel::measure_log_sum_exp(49152, seconds));
  std::erase_if(figures, [](const kernel::KernelFigure& figure) { return figure.name.empty(); });
  return figures;
}

void show(const std::vector<kernel::KernelFigure>& figures) {
  std::vector<std::vector<std::string>> rows = {{"kernel", "tokens", "precision", "GFLOPS", "GB/s", "share", "of"}};
  for (const kernel::KernelFigure& f : figures)
    rows.push_back({f.name, fmt::format("{}", f.tokens), f.precision == kernel::Precision::bf16 ? "bf16" : "f32",
                    fmt::format("{:.1f}", f.gflops), fmt::format("{:.1f}", f.gb_per_second),
                    fmt::format("{:.0f} %", 100 * f.share), f.by_bandwidth ? "read bandwidth" : "arithmetic peak"});
  fmt::print("{}", table(rows));
}

std::function<void()> setup(CLI::App& app, const Common& common) {
  auto seconds = std::make_shared<double>(0.5);
  app.add_option("--seconds", *seconds, "Time for each kernel")->capture_default_str()->check(CLI::Range(0.01, 60.0));
  return [seconds, &common] {
    const kernel::MachinePeaks peaks = kernel::measure_peaks(4 * *seconds);
    print(common, "{}, {} threads, {}\n", cpu_model_name(), thread_count(), isa_name(selected_isa()));
    print(common, "peaks: f32 {:.0f} GFLOPS, bf16 {:.0f} GFLOPS, read {:.1f} GB/s, memcpy {:.1f} GB/s\n\n",
          peaks.f32_gflops, peaks.bf16_gflops, peaks.read_gb_per_second, peaks.copy_gb_per_second);
    const std::vector<kernel::KernelFigure> figures = measure(*seconds);
    json list = json::array();
    for (const kernel::KernelFigure& figure : figures) list.push_back(to_json(figure));
    print_json(common, {{"cpu", cpu_model_name()},
                        {"threads", thread_count()},
                        {"isa", isa_name(selected_isa())},
                        {"peaks",
                         {{"f32_gflops", peaks.f32_gflops},
                          {"bf16_gflops", peaks.bf16_gflops},
                          {"read_gb_per_second", peaks.read_gb_per_second},
                          {"copy_gb_per_second", peaks.copy_gb_per_second}}},
                        {"kernels", list}});
    if (!common.json_output) show(figures);
  };
}

}  // namespace

extern const Verb bench_verb = {"bench", "Measure this machine's peaks and every hot kernel as a share of them",
                                "  strata bench\n  STRATA_ISA=avx2 strata bench --threads 1\n", setup};

}  // namespace strata::cli
