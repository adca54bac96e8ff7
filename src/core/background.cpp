// A queue, a lock and a thread.
// A task is taken from the queue only when it has run, so that an empty queue means that all is done.
#include "core/background.h"

#include <utility>

namespace strata {

Background::Background(std::size_t limit) : limit_(limit), thread_(&Background::work, this) {}

Background::~Background() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Background::post(std::size_t weight, std::function<void()> task) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return error_ || tasks_.empty() || unfinished_ + weight <= limit_; });
    if (error_) std::rethrow_exception(error_);
    tasks_.push_back({weight, std::move(task)});
    unfinished_ += weight;
  }
  changed_.notify_all();
}

void Background::finish() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return error_ || tasks_.empty(); });
  if (error_) std::rethrow_exception(error_);
}

void Background::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stop_ || (!tasks_.empty() && !error_); });
    if (stop_) return;
    std::exception_ptr error;
    {
      const std::function<void()> run = std::move(tasks_.front().run);
      lock.unlock();
      try {
        run();
      } catch (...) {
        error = std::current_exception();
      }
    }
    lock.lock();
    error_ = error;
    unfinished_ -= tasks_.front().weight;
    tasks_.pop_front();
    changed_.notify_all();
  }
}

}  // namespace strata
