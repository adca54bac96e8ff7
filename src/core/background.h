// Tasks that run one after another on a thread of their own, beside the caller: writing while the next is computed.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace strata {

class Background {
 public:
  /// `limit`: the sum of weights (such as bytes) of unfinished tasks beyond which post() waits.
  explicit Background(std::size_t limit);
  /// Waits for the task that runs and drops the rest. Call finish() first to have all of them run.
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// Hands over a task. Throws what an earlier task threw; the tasks after that one do not run.
  void post(std::size_t weight, std::function<void()> task);
  /// Returns when all tasks have run, or throws as post().
  void finish();

 private:
  struct Task {
    std::size_t weight;
    std::function<void()> run;
  };
  void work();

  const std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;  ///< the first one is running
  std::size_t unfinished_ = 0;
  bool stop_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace strata
