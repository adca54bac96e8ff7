// The speeds are measured anew, so that a wrong choice shows.
#include "cli/machine.h"

#include <algorithm>

#include "core/cpu.h"
#include "core/ranks.h"
#include "core/threads.h"
#include "kernel/dispatch.h"
#include "kernel/product_choice.h"

namespace strata::cli {
namespace {

constexpr double kMostBehind = 1.10, kSecondsOfVersion = 0.05;

}  // namespace

KernelChoice kernel_choice(double seconds) {
  KernelChoice choice{"", json::array(), ""};
  const kernel::Variant& chosen = kernel::selected_variant();
  const std::vector<kernel::ProductSpeed> speeds = kernel::product_speeds(seconds);
  double speed_of_chosen = 0.0;
  for (const kernel::ProductSpeed& speed : speeds) {
    const bool mine = speed.variant == &chosen;
    if (mine) speed_of_chosen = speed.gflops;
    choice.text += fmt::format("products in bf16 by {}: {:.0f} GFLOPS a thread{}\n", speed.variant->name, speed.gflops,
                               mine ? ", chosen" : "");
    choice.entries.push_back({{"variant", speed.variant->name}, {"gflops", speed.gflops}});
  }
  const auto most = std::ranges::max_element(speeds, {}, &kernel::ProductSpeed::gflops);
  if (!isa_is_forced() && most->gflops > kMostBehind * speed_of_chosen)
    choice.mistake = fmt::format("products in bf16 by {} are {:.0f} % faster here than by {}, which was chosen",
                                 most->variant->name, 100 * (most->gflops / speed_of_chosen - 1), chosen.name);
  return choice;
}

void show_version(bool verbose, const Common& common) {
  json value = {{"version", STRATA_VERSION}};
  print(common, "strata {}\n", STRATA_VERSION);
  if (verbose) {
    const KernelChoice choice = kernel_choice(kSecondsOfVersion);
    print(common, "{}, {} threads, {:.1f} GiB of memory\nMPI: {}\n{}", cpu_model_name(), thread_count(),
          static_cast<double>(physical_memory_bytes()) / (1ull << 30), mpi_version(), choice.text);
    value.update({{"cpu", cpu_model_name()},
                  {"threads", thread_count()},
                  {"memory_bytes", physical_memory_bytes()},
                  {"mpi", mpi_version()},
                  {"isa", kernel::selected_variant().name},
                  {"products_bf16", choice.entries}});
  }
  print_json(common, value);
}

}  // namespace strata::cli
