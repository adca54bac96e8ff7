// All numbers are little-endian; what is written as a value is its mean times the number of chunks ("ncall").
// The text that the matrix was made from may follow the entries.
#include "importance/imatrix_dat.h"

#include <cstdint>
#include <cstring>

#include "core/error.h"

namespace strata::importance {
namespace {

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  bool at_end() const { return bytes_.empty(); }
  /// A count or size: an int32 that is not negative.
  std::size_t number() {
    std::int32_t value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    if (value < 0) refuse();
    return static_cast<std::size_t>(value);
  }
  std::span<const std::byte> take(std::size_t count) {
    if (count > bytes_.size()) refuse();
    const std::span<const std::byte> taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }
  [[noreturn]] void refuse() const {
    fail(
        "{}: is no importance matrix, neither in GGUF nor in the older .dat format; make one with strata score "
        "--imatrix-out or llama-imatrix",
        where_);
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& where_;
};

}  // namespace

std::map<std::string, std::vector<float>> parse_imatrix_dat(std::span<const std::byte> file, const std::string& where) {
  Reader reader(file, where);
  std::map<std::string, std::vector<float>> result;
  const std::size_t entries = reader.number();
  if (entries == 0) reader.refuse();
  for (std::size_t i = 0; i < entries; ++i) {
    const std::span<const std::byte> name = reader.take(reader.number());
    const std::size_t calls = reader.number(), count = reader.number();
    const std::span<const std::byte> bytes = reader.take(count * sizeof(float));  // both factors are below 2^31
    std::vector<float> values(count);
    if (count != 0) std::memcpy(values.data(), bytes.data(), bytes.size());
    for (float& value : values) value = calls == 0 ? value : value / static_cast<float>(calls);
    result[{reinterpret_cast<const char*>(name.data()), name.size()}] = std::move(values);
  }
  if (reader.at_end()) return result;
  reader.number();  // chunks
  reader.take(reader.number());
  if (!reader.at_end()) reader.refuse();
  return result;
}

}  // namespace strata::importance
