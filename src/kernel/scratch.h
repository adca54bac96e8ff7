// Working memory of one thread that outlives a call: fresh pages from the system would cost more than small products.
// Contents are unspecified; a thread has one buffer per purpose.
#pragma once
#include <cstddef>
#include <memory>
#include <new>

namespace strata::kernel {

class Scratch {
 public:
  /// A buffer of at least `count` floats, 64-byte aligned, valid until the next call.
  float* floats(std::size_t count) {
    if (count > size_) {
      memory_.reset();
      size_ = 0;
      memory_.reset(static_cast<float*>(::operator new(count * sizeof(float), kAlignment)));
      size_ = count;
    }
    return memory_.get();
  }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Release {
    void operator()(float* p) const { ::operator delete(p, kAlignment); }
  };
  std::unique_ptr<float, Release> memory_;
  std::size_t size_ = 0;
};

}  // namespace strata::kernel
