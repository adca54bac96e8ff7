// GGUF layouts and their streaming.
// Numbers are little-endian, as this program's machines are.
#include "format/gguf_write.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <set>

#include "core/checked.h"

namespace strata::format {
namespace {

constexpr std::uint32_t kText = 8, kArray = 9;

template <class From, class To>
bool all_fit(const std::vector<From>& items) {
  return std::ranges::all_of(items, [](From item) { return std::in_range<To>(item); });
}
bool exact_in_float(double value) { return static_cast<double>(static_cast<float>(value)) == value || value != value; }

template <class To, class From>
std::vector<To> narrowed(const std::vector<From>& items) {
  std::vector<To> result;
  result.reserve(items.size());
  for (const From item : items) result.push_back(static_cast<To>(item));
  return result;
}

void add_array(GgufKeys& keys, std::string_view key, const GgufArray& array) {
  if (const auto* texts = std::get_if<std::vector<std::string>>(&array)) {
    keys.add(key, *texts);
  } else if (const auto* u = std::get_if<std::vector<std::uint64_t>>(&array)) {
    if (all_fit<std::uint64_t, std::uint32_t>(*u))
      keys.add(key, narrowed<std::uint32_t>(*u));
    else
      keys.add(key, *u);
  } else if (const auto* i = std::get_if<std::vector<std::int64_t>>(&array)) {
    if (all_fit<std::int64_t, std::int32_t>(*i))
      keys.add(key, narrowed<std::int32_t>(*i));
    else
      keys.add(key, *i);
  } else if (const auto* d = std::get_if<std::vector<double>>(&array)) {
    if (std::ranges::all_of(*d, exact_in_float))
      keys.add(key, narrowed<float>(*d));
    else
      keys.add(key, *d);
  } else {
    keys.add(key, std::get<std::vector<bool>>(array));
  }
}

std::uint64_t pad_to(std::uint64_t size, std::uint64_t alignment) { return round_up(size, alignment); }

}  // namespace

void GgufKeys::append_text(std::string_view text) {
  append(static_cast<std::uint64_t>(text.size()));
  bytes_ += text;
}

void GgufKeys::open(std::string_view key, std::uint32_t type) {
  STRATA_CHECK(!key.empty() && key.size() <= 65535 && !has(key), "'{}'", key);
  keys_.emplace_back(key);
  append_text(key);
  append(type);
}

void GgufKeys::open_array(std::string_view key, std::uint32_t type, std::uint64_t count) {
  open(key, kArray);
  append(type);
  append(count);
}

void GgufKeys::add(std::string_view key, std::string_view text) {
  open(key, kText);
  append_text(text);
}

void GgufKeys::add(std::string_view key, const std::vector<std::string>& texts) {
  open_array(key, kText, texts.size());
  for (const std::string& text : texts) append_text(text);
}

void GgufKeys::add_widened(std::string_view key, const GgufValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return add(key, std::string_view(*text));
  if (const auto* array = std::get_if<GgufArray>(&value)) return add_array(*this, key, *array);
  if (const auto* flag = std::get_if<bool>(&value)) return add(key, *flag);
  if (const auto* number = std::get_if<std::uint64_t>(&value))
    return std::in_range<std::uint32_t>(*number) ? add(key, static_cast<std::uint32_t>(*number)) : add(key, *number);
  if (const auto* number = std::get_if<std::int64_t>(&value))
    return std::in_range<std::int32_t>(*number) ? add(key, static_cast<std::int32_t>(*number)) : add(key, *number);
  const double number = std::get<double>(value);
  return exact_in_float(number) ? add(key, static_cast<float>(number)) : add(key, number);
}

bool GgufKeys::has(std::string_view key) const { return std::ranges::find(keys_, key) != keys_.end(); }

std::uint64_t GgufTensorSpec::bytes() const {
  const GgmlType* kind = find_ggml_type(type);
  STRATA_CHECK(kind != nullptr && !shape.empty() && shape.back() % kind->block_weights == 0, "{}: {} in rows of {}",
               name, ggml_type_name(type), shape.empty() ? 0 : shape.back());
  const auto weights = product(shape);
  const auto total = weights ? multiply(*weights / kind->block_weights, kind->block_bytes) : std::nullopt;
  STRATA_CHECK(total.has_value(), "{}: shape overflows", name);
  return *total;
}

GgufLayout lay_out_gguf(GgufKeys keys, std::vector<GgufTensorSpec> tensors, std::uint32_t alignment) {
  STRATA_CHECK(std::has_single_bit(alignment), "alignment {}", alignment);
  if (alignment != 32) keys.add("general.alignment", alignment);
  GgufLayout layout;
  layout.alignment = alignment;
  std::string& out = layout.header;
  const auto number = [&](auto value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); };
  out = "GGUF";
  number(std::uint32_t{3});
  number(static_cast<std::uint64_t>(tensors.size()));
  number(keys.count());
  out += keys.bytes();
  std::set<std::string_view> names;
  std::uint64_t offset = 0;
  for (const GgufTensorSpec& tensor : tensors) {
    STRATA_CHECK(!tensor.name.empty() && tensor.name.size() <= 64 && names.insert(tensor.name).second, "tensor '{}'",
                 tensor.name);
    number(static_cast<std::uint64_t>(tensor.name.size()));
    out += tensor.name;
    number(static_cast<std::uint32_t>(tensor.shape.size()));
    for (std::size_t d = tensor.shape.size(); d-- > 0;) number(tensor.shape[d]);
    number(tensor.type);
    number(offset);
    offset += pad_to(tensor.bytes(), alignment);
  }
  out.resize(pad_to(out.size(), alignment), '\0');
  layout.file_bytes = out.size() + offset;
  layout.tensors = std::move(tensors);
  return layout;
}

std::uint64_t tensor_offset(const GgufLayout& layout, std::size_t tensor) {
  std::uint64_t offset = layout.header.size();
  for (std::size_t t = 0; t < tensor; ++t) offset += pad_to(layout.tensors[t].bytes(), layout.alignment);
  return offset;
}

GgufWriter::GgufWriter(const std::filesystem::path& path, const GgufLayout& layout) : layout_(layout), file_(path) {
  begin();
}

GgufWriter::GgufWriter(const std::filesystem::path& path, const GgufLayout& layout, std::size_t tensors,
                       std::uint64_t bytes)
    : layout_(layout), file_(path, bytes), tensor_(tensors) {
  STRATA_CHECK(bytes == 0 || bytes == tensor_offset(layout, tensors), "{} bytes of {} tensors", bytes, tensors);
  begin();
}

void GgufWriter::begin() {
  if (file_.size() == 0) file_.write(layout_.header);
  if (tensor_ < layout_.tensors.size()) left_ = layout_.tensors[tensor_].bytes();
  finish_tensor();
}

/// Pads what is complete, tensors of no bytes included, and makes the next one current.
void GgufWriter::finish_tensor() {
  while (left_ == 0 && tensor_ < layout_.tensors.size()) {
    static constexpr char zeros[4096] = {};
    for (std::uint64_t gap = pad_to(file_.size(), layout_.alignment) - file_.size(); gap > 0;) {
      const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(gap, sizeof zeros));
      file_.write(std::string_view(zeros, count));
      gap -= count;
    }
    if (++tensor_ < layout_.tensors.size()) left_ = layout_.tensors[tensor_].bytes();
  }
}

void GgufWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    STRATA_CHECK(tensor_ < layout_.tensors.size(), "{} bytes after the last tensor", bytes.size());
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
    file_.write(bytes.first(count));
    left_ -= count;
    bytes = bytes.subspan(count);
    finish_tensor();
  }
}

void GgufWriter::commit() {
  STRATA_CHECK(tensor_ == layout_.tensors.size() && file_.size() == layout_.file_bytes, "{} of {} bytes", file_.size(),
               layout_.file_bytes);
  file_.commit();
}

}  // namespace strata::format
