// Parallel loops on OpenMP; serial when built without it.
// Exceptions do not cross an OpenMP region: the first is kept and rethrown after it.
#include "core/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace strata {
namespace {

std::size_t g_requested_threads = 0;

std::size_t available_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
}

bool inside_parallel() {
#ifdef _OPENMP
  return omp_in_parallel() != 0;
#else
  return false;
#endif
}

}  // namespace

std::size_t thread_count() {
  static const std::size_t automatic = available_cpus();
#ifdef _OPENMP
  return g_requested_threads != 0 ? g_requested_threads : automatic;
#else
  return std::min<std::size_t>(1, automatic);
#endif
}

void set_thread_count(std::size_t count) { g_requested_threads = count; }

void parallel_team(const std::function<void(std::size_t, std::size_t)>& body) {
  const std::size_t total = inside_parallel() ? 1 : thread_count();
  if (total == 1) {
    body(0, 1);
    return;
  }
#ifdef _OPENMP
  std::exception_ptr first;
  std::atomic_flag taken = ATOMIC_FLAG_INIT;
#pragma omp parallel num_threads(static_cast <int>(total))
  {
    try {
      body(static_cast<std::size_t>(omp_get_thread_num()), static_cast<std::size_t>(omp_get_num_threads()));
    } catch (...) {
      if (!taken.test_and_set()) first = std::current_exception();
    }
  }
  if (first) std::rethrow_exception(first);
#endif
}

void parallel_for(std::size_t count, const std::function<void(std::size_t)>& body) {
  if (count == 0) return;
  if (count == 1 || inside_parallel() || thread_count() == 1) {
    for (std::size_t i = 0; i < count; ++i) body(i);
    return;
  }
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> stop = false;
  parallel_team([&](std::size_t, std::size_t) {
    try {
      for (std::size_t i = next++; i < count && !stop; i = next++) body(i);
    } catch (...) {
      stop = true;
      throw;
    }
  });
}

}  // namespace strata
