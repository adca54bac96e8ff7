// CPU features by the compiler's own run-time check, and /proc for the rest.
// avx512 here means F, BW, DQ and VL together.
#include "core/cpu.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>

#include "core/error.h"

namespace strata {
namespace {
constexpr std::array<Isa, 4> kIsas = {Isa::portable, Isa::avx2, Isa::avx512, Isa::avx512bf16};
}

std::string_view isa_name(Isa isa) {
  constexpr std::array<std::string_view, 4> names = {"portable", "avx2", "avx512", "avx512bf16"};
  return names[static_cast<std::size_t>(isa)];
}

bool isa_runs_here(Isa isa) {
#if defined(__x86_64__)
  // F16C is not asked for: it is older than AVX2 and in every CPU that has it, and clang 14 does not know its name.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  switch (isa) {
    case Isa::portable:
      return true;
    case Isa::avx2:
      return avx2;
    case Isa::avx512:
      return avx512;
    case Isa::avx512bf16:
      return avx512 && __builtin_cpu_supports("avx512bf16");
  }
  return false;
#else
  return isa == Isa::portable;
#endif
}

bool isa_is_forced() {
  const char* const wanted = std::getenv("STRATA_ISA");
  return wanted != nullptr && *wanted != '\0';
}

Isa selected_isa() {
  static const Isa chosen = [] {
    if (isa_is_forced()) {
      const std::string_view wanted = std::getenv("STRATA_ISA");
      for (const Isa isa : kIsas)
        if (isa_name(isa) == wanted) {
          if (!isa_runs_here(isa))
            fail("STRATA_ISA={}: this CPU cannot run it; unset it to choose automatically", wanted);
          return isa;
        }
      fail("STRATA_ISA={}: unknown; use portable, avx2, avx512 or avx512bf16", wanted);
    }
    Isa best = Isa::portable;
    for (const Isa isa : kIsas)
      if (isa_runs_here(isa)) best = isa;
    return best;
  }();
  return chosen;
}

std::string cpu_model_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name"))
      if (const auto colon = line.find(": "); colon != std::string::npos) return line.substr(colon + 2);
  return "unknown";
}

std::uint64_t physical_memory_bytes() {
  const auto machine =
      static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  // A container sees its own control group as the root. The file holds "max" where there is no limit.
  std::ifstream limit("/sys/fs/cgroup/memory.max");
  std::uint64_t bytes = 0;
  return limit >> bytes && bytes != 0 ? std::min(machine, bytes) : machine;
}

std::uint64_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace strata
