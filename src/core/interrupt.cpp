// Signal handling with one flag.
// Nothing but the flag is touched in the handler.
#include "core/interrupt.h"

#include <atomic>
#include <csignal>

namespace strata {
namespace {

/// Set by a handler in whatever thread the signal finds, and read by all.
std::atomic<int> g_interrupted = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a handler may touch it");

void on_signal(int number) {
  if (g_interrupted != 0) {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    sigaction(number, &action, nullptr);
    raise(number);
  }
  g_interrupted = 1;
}

void note_signal(int) { g_interrupted = 1; }

}  // namespace

void install_interrupt_handler() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a file that grows beyond a limit is an error of that write
}

InterruptibleWork::InterruptibleWork() {
  g_interrupted = 0;
  struct sigaction action {};
  action.sa_handler = note_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &before_);
}

InterruptibleWork::~InterruptibleWork() {
  sigaction(SIGINT, &before_, nullptr);
  g_interrupted = 0;
}

void check_interrupt() {
  if (g_interrupted != 0) throw Interrupted();
}

}  // namespace strata
