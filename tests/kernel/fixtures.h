// Shared by the kernel tests: loops over the variants that run here, guarded memory, random data, a codec for tests.
// Guarded: the page after the last byte cannot be read, so an overread of one byte ends the test.
#pragma once
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <vector>

#include "core/numbers.h"
#include "kernel/dispatch.h"

namespace strata::kernel {

/// The variants that run on this CPU; the others are named on stdout and counted in the test's record.
inline std::vector<const Variant*> runnable() {
  std::vector<const Variant*> here;
  int skipped = 0;
  for (const Variant* variant : variants()) {
    if (isa_runs_here(variant->isa)) {
      here.push_back(variant);
    } else {
      ++skipped;
      std::printf("skipped: %s does not run on this CPU\n", variant->name);
    }
  }
  ::testing::Test::RecordProperty("variants_skipped", skipped);
  return here;
}

/// `bytes` of memory that end where an unreadable page begins.
class Guarded {
 public:
  explicit Guarded(std::size_t bytes) : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))), bytes_(bytes) {
    total_ = (bytes + page_ - 1) / page_ * page_ + page_;
    base_ = static_cast<std::byte*>(mmap(nullptr, total_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(base_ + total_ - page_, page_, PROT_NONE);
  }
  ~Guarded() { munmap(base_, total_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  std::byte* data() { return base_ + total_ - page_ - bytes_; }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(data());
  }

 private:
  std::size_t page_, bytes_, total_ = 0;
  std::byte* base_ = nullptr;
};

/// What a product at this precision multiplies with.
inline float operand(float v, Precision precision) { return precision == Precision::bf16 ? round_bf16(v) : v; }

inline std::vector<float> normal(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> distribution;
  std::vector<float> values(count);
  for (float& v : values) v = distribution(random);
  return values;
}

/// Writes the values as `type`, at an address that may be unaligned.
inline void write_as(DType type, const std::vector<float>& values, std::byte* out) {
  for (const float v : values) {
    if (type == DType::f32) {
      std::memcpy(out, &v, 4);
    } else {
      const std::uint16_t bits = type == DType::bf16 ? to_bf16(v).bits : to_f16(v).bits;
      std::memcpy(out, &bits, 2);
    }
    out += dtype_bytes(type);
  }
}

}  // namespace strata::kernel
