// The use of a kernel's tiles by a thread. Tiles of AMX are a state of the thread that is set up before and given back
// after a piece of work: other code on the thread may use them too, and a thread that waits must not carry them along.
#pragma once
#include "kernel/variant.h"

namespace strata::kernel {

/// While it lives, its thread may call `tile` and `spin` of the kernel. A thread has one at a time.
class InUse {
 public:
  explicit InUse(const MatmulKernel& kernel) : end_(kernel.end) {
    if (kernel.begin != nullptr) kernel.begin();
  }
  ~InUse() {
    if (end_ != nullptr) end_();
  }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;

 private:
  void (*end_)();
};

}  // namespace strata::kernel
