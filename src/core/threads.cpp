// A pool of threads that lives as long as the program. Waiting threads spin for a moment, since products follow each
// other closely, and then sleep: two programs on one machine must not burn each other's time at every barrier. For the
// same reason a loop does not wait for a thread that another program keeps from beginning.
#include "core/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace strata {
namespace {

constexpr int kSpins = 2000;  // of a pause each: tens of microseconds

using Body = std::function<void(std::size_t, std::size_t)>;

std::size_t g_requested_threads = 0;
thread_local bool t_inside_team = false;

std::size_t available_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
}

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Returns once `value` differs from `old`.
template <class T>
void wait_while_equal(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

/// What a start does about threads that come late, since another program has their CPU.
enum class Late { awaited, left_out };

class Pool {
 public:
  /// body(i, total) for indices i < total, one thread each; the caller is thread 0. Late::left_out: without those that
  /// have not begun when the caller's call has returned.
  void run(const Body& body, std::size_t total, Late late) {
    while (workers_ + 1 < total) {
      ++workers_;
      std::thread(&Pool::work, this, started_.load()).detach();
    }
    body_ = &body;
    total_ = total;
    first_error_ = nullptr;
    next_.store(1, std::memory_order_relaxed);
    unfinished_.store(total - 1, std::memory_order_relaxed);
    gate_.store(kOpen, std::memory_order_release);
    started_.fetch_add(1, std::memory_order_release);
    started_.notify_all();
    call(0);
    if (late == Late::awaited) wait_for_zero(unfinished_);
    gate_.fetch_and(~kOpen, std::memory_order_acq_rel);
    wait_for_zero(gate_);
    if (first_error_) std::rethrow_exception(first_error_);
  }

  std::mutex busy;

 private:
  static constexpr std::size_t kOpen = std::size_t{1} << 63;

  static void wait_for_zero(const std::atomic<std::size_t>& value) {
    for (std::size_t left; (left = value.load(std::memory_order_acquire)) != 0;) wait_while_equal(value, left);
  }
  /// One less; who waits for zero is told.
  static void count_down(std::atomic<std::size_t>& value) {
    if (value.fetch_sub(1, std::memory_order_acq_rel) == 1) value.notify_all();
  }

  void call(std::size_t index) {
    t_inside_team = true;
    try {
      (*body_)(index, total_);
    } catch (...) {
      const std::lock_guard lock(error_);
      if (!first_error_) first_error_ = std::current_exception();
    }
    t_inside_team = false;
  }

  /// False when the gate is closed. While a worker is inside, run does not return.
  bool enter() {
    std::size_t inside = gate_.load(std::memory_order_acquire);
    while ((inside & kOpen) != 0)
      if (gate_.compare_exchange_weak(inside, inside + 1, std::memory_order_acq_rel)) return true;
    return false;
  }

  /// A worker that slept through a start joins whichever is open when it wakes.
  void work(std::uint64_t seen) {
    for (;;) {
      wait_while_equal(started_, seen);
      seen = started_.load(std::memory_order_acquire);
      if (!enter()) continue;
      const std::size_t index = next_.fetch_add(1, std::memory_order_relaxed);
      if (index < total_) {
        call(index);
        count_down(unfinished_);
      }
      count_down(gate_);
    }
  }

  std::size_t workers_ = 0, total_ = 0;
  const Body* body_ = nullptr;
  std::exception_ptr first_error_;
  std::mutex error_;
  std::atomic<std::uint64_t> started_ = 0;
  std::atomic<std::size_t> next_ = 0, unfinished_ = 0;  ///< indices not yet taken; not yet done
  std::atomic<std::size_t> gate_ = 0;                   ///< workers inside, and kOpen while more may enter
};

/// Never destroyed: its threads may still wait in it when the program ends.
Pool& pool() {
  static Pool* instance = new Pool;
  return *instance;
}

}  // namespace

std::size_t thread_count() {
  static const std::size_t automatic = available_cpus();
  return g_requested_threads != 0 ? g_requested_threads : automatic;
}

void set_thread_count(std::size_t count) { g_requested_threads = count; }

namespace {
void run(const Body& body, Late late) {
  const std::size_t total = t_inside_team ? 1 : thread_count();
  std::unique_lock lock(pool().busy, std::defer_lock);
  if (total == 1 || !lock.try_lock()) {
    body(0, 1);
    return;
  }
  pool().run(body, total, late);
}
}  // namespace

void parallel_team(const Body& body) { run(body, Late::awaited); }

void parallel_for(std::size_t count, const std::function<void(std::size_t)>& body) {
  if (count == 0) return;
  if (count == 1 || t_inside_team || thread_count() == 1) {
    for (std::size_t i = 0; i < count; ++i) body(i);
    return;
  }
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> stop = false;
  // Once no piece is left, a thread that has not come yet has nothing to do.
  run(
      [&](std::size_t, std::size_t) {
        try {
          for (std::size_t i = next++; i < count && !stop; i = next++) body(i);
        } catch (...) {
          stop = true;
          throw;
        }
      },
      Late::left_out);
}

}  // namespace strata
