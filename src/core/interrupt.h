// Ctrl-C: the first asks running work to stop at its next check, the second ends the process at once.
// Long loops call check_interrupt(); what they had finished stays resumable.
#pragma once
#include <signal.h>

#include "core/error.h"

namespace strata {

/// Thrown by check_interrupt(); the command line turns it into exit code 130 with a sentence.
class Interrupted : public Error {
 public:
  Interrupted() : Error("interrupted") {}
};

/// Installs the handlers of SIGINT and SIGTERM.
void install_interrupt_handler();

/// For a program that has handlers of its own: while this lives, SIGINT asks the work to stop, however often it comes;
/// then the program's handler is back, and nothing has arrived. One at a time.
class InterruptibleWork {
 public:
  InterruptibleWork();
  ~InterruptibleWork();
  InterruptibleWork(const InterruptibleWork&) = delete;
  InterruptibleWork& operator=(const InterruptibleWork&) = delete;

 private:
  struct sigaction before_ {};
};

/// Throws Interrupted when a signal has arrived.
void check_interrupt();

}  // namespace strata
