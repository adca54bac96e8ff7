// Parallel loops over a pool of threads. Work is cut by the caller's item count, never by the thread count,
// so that a result does not depend on how many threads there are.
#pragma once
#include <cstddef>
#include <functional>

namespace strata {

/// Threads that parallel_for uses: set_thread_count's value, or the number of CPUs this process may run on.
std::size_t thread_count();
/// 0 means automatic.
void set_thread_count(std::size_t count);

/// Calls body(i) for every i in [0, count), each exactly once, spread over the threads dynamically. The first
/// exception (by time) is rethrown here after all threads have stopped. Nested calls run serially.
void parallel_for(std::size_t count, const std::function<void(std::size_t)>& body);

/// Calls body(thread, thread_total) once on each of the threads at the same time (thread < thread_total).
void parallel_team(const std::function<void(std::size_t, std::size_t)>& body);

}  // namespace strata
