// The samples of a tensor lie in pages far from each other. Reading ahead around each of them would read much of a
// large model, and waiting for one after another would take minutes of a disk that can fetch many at a time.
#include "model/content_hash.h"

#include <algorithm>

#include "core/advice.h"
#include "core/file.h"
#include "core/hash.h"

namespace strata::model {
namespace {

using Bytes = std::span<const std::byte>;

/// Calls `use` with every sample of a tensor, in order.
template <class Use>
void for_samples(Bytes tensor, Use use) {
  constexpr std::size_t samples = 16, sample_bytes = 256;
  const std::size_t step = std::max<std::size_t>(tensor.size() / samples, sample_bytes);
  for (std::size_t at = 0; at < tensor.size(); at += step)
    use(tensor.subspan(at, std::min(sample_bytes, tensor.size() - at)));
}

void fetch(Bytes tensor) {
  expect_samples(tensor);
  for_samples(tensor, fetch_pages);
}

}  // namespace

std::uint64_t content_hash(const std::vector<Bytes>& tensors) {
  constexpr std::size_t ahead = 4;  // tensors whose samples are being read while one is hashed
  std::uint64_t hash = fnv1a({});
  for (std::size_t t = 0; t < std::min(ahead, tensors.size()); ++t) fetch(tensors[t]);
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    if (t + ahead < tensors.size()) fetch(tensors[t + ahead]);
    for_samples(tensors[t], [&](Bytes sample) { hash = fnv1a(sample, hash); });
    expect_order(tensors[t]);
    MappedFile::drop(tensors[t]);
  }
  return hash;
}

}  // namespace strata::model
