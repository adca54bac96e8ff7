// Parsing GGUF bytes. A cursor hands out bytes only after comparing with what is left, and every count meets the
// bytes left before anything is allocated for it.
#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

#include "core/checked.h"
#include "core/error.h"
#include "format/gguf.h"
#include "format/strict_json.h"

namespace strata::format {
namespace {

constexpr std::uint64_t kMinPairBytes = 8 + 1 + 4 + 1;             // length, one byte of key, type, one byte of value
constexpr std::uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;   // length, one byte of name, dims, one extent, ...
constexpr std::uint64_t kMaxKeyBytes = 65535, kMaxNameBytes = 64;  // both from the specification
constexpr std::uint64_t kMaxArrayItems = 1u << 25;                 // a hundred times the largest vocabulary
constexpr std::uint64_t kMaxAlignment = 1u << 30;
constexpr std::uint64_t kDefaultAlignment = 32;

/// Value types, by their numbers in the file.
enum class Type : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, array, u64, i64, f64 };

class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  std::uint64_t position() const { return position_; }
  std::uint64_t left() const { return bytes_.size() - position_; }

  std::span<const std::byte> take(std::uint64_t count, std::string_view what) {
    if (count > left())
      fail("{}: {} at offset {} needs {} bytes, {} are left; is the download complete?", where_, what, position_, count,
           left());
    position_ += count;
    return bytes_.subspan(position_ - count, count);
  }
  template <class T>
  T number(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }
  std::string text(std::string_view what) {
    const auto length = number<std::uint64_t>(what);
    const auto bytes = take(length, what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  /// A key or name of 1 to `limit` bytes.
  std::string name(std::uint64_t limit, std::string_view what) {
    const std::uint64_t at = position_;
    const auto length = number<std::uint64_t>(what);
    if (length == 0 || length > limit)
      fail("{}: {} at offset {} has {} bytes, 1 to {} are allowed", where_, what, at, length, limit);
    const auto bytes = take(length, what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  const std::string& where() const { return where_; }

 private:
  std::span<const std::byte> bytes_;
  std::string where_;
  std::uint64_t position_ = 0;
};

bool read_boolean(Cursor& in, const std::string& key) {
  const auto byte = in.number<std::uint8_t>(key);
  if (byte > 1) fail("{}: '{}' has a truth value of {}, 0 or 1 is expected", in.where(), key, byte);
  return byte == 1;
}

/// `count` numbers stored as Stored, widened to Wide.
template <class Stored, class Wide>
GgufArray read_numbers(Cursor& in, std::uint64_t count, const std::string& key) {
  const auto bytes = in.take(count * sizeof(Stored), key);  // no overflow: count is at most kMaxArrayItems
  std::vector<Wide> values(count);
  for (std::size_t i = 0; i < values.size(); ++i) {
    Stored value;
    std::memcpy(&value, bytes.data() + i * sizeof(Stored), sizeof(Stored));
    values[i] = static_cast<Wide>(value);
  }
  return values;
}

GgufArray read_array(Cursor& in, const std::string& key) {
  const auto type = in.number<std::uint32_t>(key);
  const auto count = in.number<std::uint64_t>(key);
  if (count > kMaxArrayItems || count > in.left())
    fail("{}: the array '{}' has {} items, but {} bytes are left and {} items allowed", in.where(), key, count,
         in.left(), kMaxArrayItems);
  switch (static_cast<Type>(type)) {
    case Type::u8:
      return read_numbers<std::uint8_t, std::uint64_t>(in, count, key);
    case Type::i8:
      return read_numbers<std::int8_t, std::int64_t>(in, count, key);
    case Type::u16:
      return read_numbers<std::uint16_t, std::uint64_t>(in, count, key);
    case Type::i16:
      return read_numbers<std::int16_t, std::int64_t>(in, count, key);
    case Type::u32:
      return read_numbers<std::uint32_t, std::uint64_t>(in, count, key);
    case Type::i32:
      return read_numbers<std::int32_t, std::int64_t>(in, count, key);
    case Type::u64:
      return read_numbers<std::uint64_t, std::uint64_t>(in, count, key);
    case Type::i64:
      return read_numbers<std::int64_t, std::int64_t>(in, count, key);
    case Type::f32:
      return read_numbers<float, double>(in, count, key);
    case Type::f64:
      return read_numbers<double, double>(in, count, key);
    case Type::boolean: {
      std::vector<bool> values(count);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = read_boolean(in, key);
      return values;
    }
    case Type::text: {
      if (count > in.left() / sizeof(std::uint64_t))
        fail("{}: the array '{}' has {} texts, but only {} bytes are left", in.where(), key, count, in.left());
      std::vector<std::string> values(count);
      for (std::string& value : values) value = in.text(key);
      return values;
    }
    case Type::array:
      fail("{}: '{}' is an array of arrays, which is not supported", in.where(), key);
  }
  fail("{}: the array '{}' has items of the unknown type {}", in.where(), key, type);
}

GgufValue read_value(Cursor& in, const std::string& key) {
  const auto type = in.number<std::uint32_t>(key);
  switch (static_cast<Type>(type)) {
    case Type::u8:
      return std::uint64_t{in.number<std::uint8_t>(key)};
    case Type::i8:
      return std::int64_t{in.number<std::int8_t>(key)};
    case Type::u16:
      return std::uint64_t{in.number<std::uint16_t>(key)};
    case Type::i16:
      return std::int64_t{in.number<std::int16_t>(key)};
    case Type::u32:
      return std::uint64_t{in.number<std::uint32_t>(key)};
    case Type::i32:
      return std::int64_t{in.number<std::int32_t>(key)};
    case Type::u64:
      return in.number<std::uint64_t>(key);
    case Type::i64:
      return in.number<std::int64_t>(key);
    case Type::f32:
      return double{in.number<float>(key)};
    case Type::f64:
      return in.number<double>(key);
    case Type::boolean:
      return read_boolean(in, key);
    case Type::text:
      return in.text(key);
    case Type::array:
      return read_array(in, key);
  }
  fail("{}: '{}' has a value of the unknown type {}", in.where(), key, type);
}

void check_version(Cursor& in) {
  const auto magic = in.take(4, "the magic number");
  if (std::memcmp(magic.data(), "GGUF", 4) != 0) fail("{}: is not a GGUF file", in.where());
  const auto version = in.number<std::uint32_t>("the version");
  if (version == 2 || version == 3) return;
  if (version != 0 && (version & 0xFFFF) == 0)
    fail("{}: is a big-endian GGUF file; convert it to little-endian first", in.where());
  fail("{}: GGUF version {} cannot be read, only 2 and 3; convert the model again with a current llama.cpp", in.where(),
       version);
}

GgufMetadata read_metadata(Cursor& in, std::uint64_t count) {
  GgufMetadata metadata;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string key = in.name(kMaxKeyBytes, "the name of a metadata key");
    GgufValue value = read_value(in, printable(key));
    const auto [it, fresh] = metadata.try_emplace(std::move(key), std::move(value));
    if (!fresh) fail("{}: the metadata key '{}' occurs twice", in.where(), printable(it->first));
  }
  return metadata;
}

std::uint64_t alignment_of(const GgufMetadata& metadata, const std::string& where) {
  const auto it = metadata.find("general.alignment");
  if (it == metadata.end()) return kDefaultAlignment;
  const auto* value = std::get_if<std::uint64_t>(&it->second);
  if (value == nullptr || !std::has_single_bit(*value) || *value > kMaxAlignment)
    fail("{}: 'general.alignment' must be a power of two of at most {}", where, kMaxAlignment);
  return *value;
}

struct TensorInfo {
  GgufTensor tensor;
  std::uint64_t offset;  ///< from the start of the data
  std::uint64_t bytes;   ///< 0 when the type is unknown
};

TensorInfo read_tensor_info(Cursor& in) {
  TensorInfo info{};
  info.tensor.name = in.name(kMaxNameBytes, "the name of a tensor");
  const std::string where = fmt::format("{}: tensor '{}'", in.where(), printable(info.tensor.name));
  const auto dims = in.number<std::uint32_t>("a tensor's entry");
  if (dims == 0 || dims > 4) fail("{}: has {} dimensions, 1 to 4 are allowed", where, dims);
  for (std::uint32_t i = 0; i < dims; ++i)
    info.tensor.shape.insert(info.tensor.shape.begin(), in.number<std::uint64_t>("a tensor's entry"));
  info.tensor.type = in.number<std::uint32_t>("a tensor's entry");
  info.offset = in.number<std::uint64_t>("a tensor's entry");

  const auto count = product(info.tensor.shape);
  if (!count) fail("{}: the product of its shape does not fit in 64 bits", where);
  const GgmlType* type = find_ggml_type(info.tensor.type);
  if (type == nullptr) return info;
  const std::uint64_t cols = info.tensor.shape.back();
  if (cols % type->block_weights != 0)
    fail("{}: {} columns are not a multiple of {}'s block of {}", where, cols, type->name, type->block_weights);
  const auto bytes = multiply(*count / type->block_weights, type->block_bytes);
  if (!bytes) fail("{}: its size does not fit in 64 bits", where);
  info.bytes = *bytes;
  return info;
}

/// Checks places against the data and each other, and points the tensors at their bytes.
void place_tensors(std::vector<TensorInfo>& infos, std::span<const std::byte> data, std::uint64_t alignment,
                   Required required, const std::string& where) {
  std::set<std::string_view> names;
  std::vector<const TensorInfo*> by_offset;
  for (TensorInfo& info : infos) {
    const std::string name = printable(info.tensor.name);
    if (!names.insert(info.tensor.name).second) fail("{}: the tensor '{}' occurs twice", where, name);
    if (info.offset % alignment != 0)
      fail("{}: tensor '{}' is at offset {}, not a multiple of the alignment {}", where, name, info.offset, alignment);
    if (within(info.offset, info.bytes, data.size())) {
      info.tensor.data = data.subspan(info.offset, info.bytes);
    } else {
      const std::string absent =
          fmt::format("{}: tensor '{}' needs {} bytes at offset {}, the data has {}; is the download complete?", where,
                      name, info.bytes, info.offset, data.size());
      if (required == Required::all || !within(info.offset, info.bytes, kMaxDataBytes)) fail("{}", absent);
      info.tensor.data = TensorData::absent(info.bytes, absent);
    }
    by_offset.push_back(&info);
  }
  std::sort(by_offset.begin(), by_offset.end(), [](const TensorInfo* a, const TensorInfo* b) {
    return std::pair(a->offset, a->bytes) < std::pair(b->offset, b->bytes);
  });
  for (std::size_t i = 1; i < by_offset.size(); ++i)
    if (by_offset[i - 1]->offset + by_offset[i - 1]->bytes > by_offset[i]->offset)
      fail("{}: the tensors '{}' and '{}' overlap at offset {}", where, printable(by_offset[i - 1]->tensor.name),
           printable(by_offset[i]->tensor.name), by_offset[i]->offset);
}

}  // namespace

GgufContent parse_gguf(std::span<const std::byte> file, const std::string& where, Required required) {
  Cursor in(file, where);
  check_version(in);
  const auto tensor_count = in.number<std::uint64_t>("the number of tensors");
  const auto pair_count = in.number<std::uint64_t>("the number of metadata keys");
  if (pair_count > in.left() / kMinPairBytes || tensor_count > in.left() / kMinTensorBytes)
    fail("{}: {} metadata keys and {} tensors cannot fit in the {} bytes left", where, pair_count, tensor_count,
         in.left());

  GgufContent content;
  content.metadata = read_metadata(in, pair_count);
  const std::uint64_t alignment = alignment_of(content.metadata, where);
  std::vector<TensorInfo> infos;
  infos.reserve(std::min(tensor_count, in.left() / kMinTensorBytes));
  for (std::uint64_t i = 0; i < tensor_count; ++i) infos.push_back(read_tensor_info(in));
  const std::uint64_t data_start = std::min<std::uint64_t>(round_up(in.position(), alignment), file.size());
  place_tensors(infos, file.subspan(data_start), alignment, required, where);
  content.tensors.reserve(infos.size());
  for (TensorInfo& info : infos) content.tensors.push_back(std::move(info.tensor));
  return content;
}

}  // namespace strata::format
