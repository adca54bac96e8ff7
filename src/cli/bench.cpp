// strata bench: what this machine can do, and every hot kernel as a share of it.
// Codecs and the allocator have Google Benchmark programs in bench/.
#include <algorithm>
#include <chrono>
#include <memory>

#include "cli/machine.h"
#include "cli/verb.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/interrupt.h"
#include "core/random.h"
#include "core/seconds.h"
#include "core/threads.h"
#include "engine/modes.h"
#include "kernel/dispatch.h"
#include "kernel/peaks.h"
#include "quantize/speed.h"

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
  for (const char* codec : {"q8_0", "q4_0", "q4_k", "q6_k", "int8_channel", "int4_g128", "fp8_channel", "nvfp4"}) {
    figures.push_back(kernel::measure_stored(codec::by_name(codec), 4096, 1, seconds));
    figures.push_back(kernel::measure_in_bytes(codec::by_name(codec), 4096, seconds));
  }
  figures.push_back(kernel::measure_attention(512, 9, 3, 64, seconds));
  figures.push_back(kernel::measure_attention(512, 32, 8, 128, seconds));
  // Of Qwen3-Next and of Nemotron 3 Nano.
  figures.push_back(kernel::measure_delta_rule(512, 16, 32, 128, seconds));
  figures.push_back(kernel::measure_state_space(512, 64, 8, 64, 128, seconds));
  figures.push_back(kernel::measure_log_sum_exp(49152, seconds));
  for (kernel::KernelFigure& figure : quantize::measure_rounding(seconds)) figures.push_back(std::move(figure));
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

constexpr std::size_t kPrompt = 512;  // tokens of a prefill

struct ModelOptions {
  std::string path;
  std::size_t context = kPrompt;
  bool exact = false;
};

/// The speed of a model in tokens per second, the best of several runs: `prefill` for 512 tokens at once with all their
/// logits, `decode` for the tokens that follow a context one at a time.
struct ModelSpeed {
  std::size_t prompt, context;
  double prefill = 0, decode = 0;
};

ModelSpeed measure_model(const model::Model& model, kernel::Precision precision, const ModelOptions& options,
                         int runs) {
  constexpr std::size_t generated = 32;
  engine::Engine engine(model, precision);
  const model::Architecture& a = engine.architecture();
  // A model that has learned its positions has room for no more tokens.
  const std::size_t most = a.learned.positions, room = most == 0 ? options.context : most - std::min(most, generated);
  const std::size_t prompt = std::min(kPrompt, std::max<std::size_t>(room, 1)),
                    context = std::min(options.context, room);
  std::vector<engine::Token> tokens(prompt);
  Random random(1);
  for (engine::Token& token : tokens) token = static_cast<engine::Token>(random.below(a.vocab));
  std::vector<float> logits(prompt * a.vocab);
  ModelSpeed best{.prompt = prompt, .context = std::max(prompt, context)};
  for (int run = 0; run < runs; ++run) {
    engine::KvCache cache(a.blocks, precision == kernel::Precision::f32 || options.exact ? DType::f32 : DType::bf16);
    const engine::InBytes rounding(engine, cache.is_short());
    const engine::Sequence whole{prompt, &cache}, one{1, &cache};
    auto begin = std::chrono::steady_clock::now();
    const std::vector<float> h = engine.forward(tokens, {&whole, 1});
    engine.logits(h.data(), prompt, logits.data());
    best.prefill = std::max(best.prefill, static_cast<double>(prompt) / seconds_since(begin));
    while (cache.positions < context) {
      check_interrupt();
      const engine::Sequence more{std::min(prompt, context - cache.positions), &cache};
      engine.forward(std::span(tokens).first(more.tokens), {&more, 1});
    }
    begin = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < generated; ++i) {
      check_interrupt();
      const std::vector<float> last = engine.forward({&tokens[i], 1}, {&one, 1});
      engine.logits(last.data(), 1, logits.data());
    }
    best.decode = std::max(best.decode, static_cast<double>(generated) / seconds_since(begin));
  }
  return best;
}

void run_model(const ModelOptions& options, const Common& common) {
  const model::Model model = model::Model::open(options.path);
  json value = {{"model", options.path},
                {"context", options.context},
                {"threads", thread_count()},
                {"isa", kernel::selected_variant().name}};
  for (const auto& [name, precision] : {std::pair{"f32", kernel::Precision::f32}, {"bf16", kernel::Precision::bf16}}) {
    const ModelSpeed speed = measure_model(model, precision, options, 4);
    value[name] = {{"prefill_tokens_per_second", speed.prefill}, {"decode_tokens_per_second", speed.decode}};
    print(common, "{:<5} prefill of {} tokens {:.0f} tokens/s, decode after {} {:.1f} tokens/s\n", name, speed.prompt,
          speed.prefill, speed.context, speed.decode);
  }
  print_json(common, value);
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto seconds = std::make_shared<double>(0.5);
  auto of_model = std::make_shared<ModelOptions>();
  line.option(
      {.name = "--model", .help = "Time this model instead: prefill of 512 tokens, and decoding", .example = "MODEL"},
      of_model->path);
  line.option({.name = "--context",
               .help = "Tokens before those that are decoded",
               .example = "4096",
               .least = kPrompt,
               .most = 1 << 20},
              of_model->context);
  line.flag({.name = "--exact", .help = "Decode as generate --exact does"}, of_model->exact);
  line.option({.name = "--seconds", .help = "Time for each kernel", .example = "2", .least = 0.01, .most = 60},
              *seconds);
  return [seconds, of_model, &common] {
    if (!of_model->path.empty()) return run_model(*of_model, common);
    const kernel::MachinePeaks peaks = kernel::measure_peaks(4 * *seconds);
    print(common, "{}, {} threads, {}\n", cpu_model_name(), thread_count(), kernel::selected_variant().name);
    print(common, "peaks: f32 {:.0f} GFLOPS, bf16 {:.0f} GFLOPS, read {:.1f} GB/s, memcpy {:.1f} GB/s\n",
          peaks.f32_gflops, peaks.bf16_gflops, peaks.read_gb_per_second, peaks.copy_gb_per_second);
    const KernelChoice choice = kernel_choice(*seconds);
    print(common, "{}\n", choice.text);
    const std::vector<kernel::KernelFigure> figures = measure(*seconds);
    json list = json::array();
    for (const kernel::KernelFigure& figure : figures) list.push_back(to_json(figure));
    print_json(common, {{"cpu", cpu_model_name()},
                        {"threads", thread_count()},
                        {"isa", kernel::selected_variant().name},
                        {"products_bf16", choice.entries},
                        {"peaks",
                         {{"f32_gflops", peaks.f32_gflops},
                          {"bf16_gflops", peaks.bf16_gflops},
                          {"read_gb_per_second", peaks.read_gb_per_second},
                          {"copy_gb_per_second", peaks.copy_gb_per_second}}},
                        {"kernels", list}});
    if (!common.json_output) show(figures);
    if (!choice.mistake.empty()) fail("{}", choice.mistake);
  };
}

}  // namespace

extern const Verb bench_verb = {
    "bench", "Measure this machine's peaks and every hot kernel as a share of them",
    "  strata bench\n  strata bench --model MODEL\n  STRATA_ISA=avx2 strata bench --threads 1\n", setup};

}  // namespace strata::cli
