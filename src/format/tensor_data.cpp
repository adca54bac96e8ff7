// Bytes that are not there are known by their number and by why they are not.
#include "format/tensor_data.h"

#include "core/error.h"

namespace strata::format {

TensorData TensorData::absent(std::uint64_t size, std::string error) {
  TensorData data;
  data.size_ = size;
  data.error_ = std::move(error);
  return data;
}

void TensorData::fail_absent() const { fail("{}", error_); }

}  // namespace strata::format
