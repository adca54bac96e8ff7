// CPU features by the compiler's own run-time check, and /proc for the rest.
// avx512 here means F, BW, DQ and VL together, avx512bf16 also VNNI, and amx tiles and their products in bf16
// (STRATA_AMX: compiled in).
#include "core/cpu.h"

#include <sys/resource.h>
#include <unistd.h>
#if defined(STRATA_AMX)
#include <cpuid.h>
#include <sys/syscall.h>
#endif

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>

#include "core/error.h"

namespace strata {
namespace {
constexpr std::array kIsas = {Isa::portable, Isa::avx2, Isa::avx512, Isa::avx512bf16, Isa::amx};

/// Whether the CPU has tiles and the system lets this process use them. Linux saves their 8 KiB only for processes that
/// have asked (arch_prctl, since 5.16), which is done here, once: its threads may use them from then on.
bool tiles_run_here() {
#if defined(STRATA_AMX)
  static const bool allowed = [] {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    constexpr unsigned bf16 = 1u << 22, tiles = 1u << 24;  // of CPUID's leaf 7
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & bf16) == 0 || (edx & tiles) == 0) return false;
    // Palette 1, eight tiles of 16 rows of 64 bytes: there are virtual machines that show AMX and have no palette.
    if (__get_cpuid_count(0x1D, 0, &eax, &ebx, &ecx, &edx) == 0 || eax == 0) return false;
    __cpuid_count(0x1D, 1, eax, ebx, ecx, edx);
    if (ebx >> 16 < 8 || (ebx & 0xFFFF) < 64 || (ecx & 0xFFFF) < 16) return false;
    constexpr unsigned config = 1u << 17, data = 1u << 18;  // of XCR0: the states that the system saves
    asm volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    constexpr int request_permission = 0x1023, of_tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return (eax & config) != 0 && (eax & data) != 0 && syscall(SYS_arch_prctl, request_permission, of_tile_data) == 0;
  }();
  return allowed;
#else
  return false;
#endif
}
}  // namespace

std::string_view isa_name(Isa isa) {
  constexpr std::array<std::string_view, kIsas.size()> names = {"portable", "avx2", "avx512", "avx512bf16", "amx"};
  return names[static_cast<std::size_t>(isa)];
}

bool isa_runs_here(Isa isa) {
#if defined(__x86_64__)
  // F16C is not asked for: it is older than AVX2 and in every CPU that has it, and clang 14 does not know its name.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  const bool avx512bf16 = avx512 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
  switch (isa) {
    case Isa::portable:
      return true;
    case Isa::avx2:
      return avx2;
    case Isa::avx512:
      return avx512;
    case Isa::avx512bf16:
      return avx512bf16;
    case Isa::amx:
      return avx512bf16 && tiles_run_here();
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
            fail("STRATA_ISA={}: unsupported here: {} cannot run it; unset it to choose automatically", wanted,
                 isa == Isa::amx ? "this CPU, its system or this build" : "this CPU");
          return isa;
        }
      fail("STRATA_ISA={}: unknown; use portable, avx2, avx512, avx512bf16 or amx", wanted);
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
