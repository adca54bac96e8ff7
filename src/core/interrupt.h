// Ctrl-C: the first asks running work to stop at its next check, the second ends the process at once.
// Long loops call check_interrupt(); what they had finished stays resumable.
#pragma once
#include "core/error.h"

namespace strata {

/// Thrown by check_interrupt(); the command line turns it into exit code 130 with a sentence.
class Interrupted : public Error {
 public:
  Interrupted() : Error("interrupted") {}
};

/// Installs the handlers of SIGINT and SIGTERM.
void install_interrupt_handler();
/// Throws Interrupted when a signal has arrived.
void check_interrupt();

}  // namespace strata
