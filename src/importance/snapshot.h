// The state of unfinished work as bytes. A class names its members once, in `visit`, and that both writes and reads
// them, so that the two cannot differ.
#pragma once
#include <array>
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/file.h"
#include "core/ranks.h"

namespace strata::importance {

/// Called with a value, it writes or reads that value: numbers, strings, arrays, vectors and maps, and every type T
/// that has a function `visit(T&, Snapshot&)`. Bytes are in the order of this machine, and all bits of a number
/// survive.
class Snapshot {
 public:
  /// Writes to `output`, which must outlive it. Call flush() after the last value.
  explicit Snapshot(OutputFile& output) : output_(&output) {}
  /// Writes to the end of `bytes`, which must outlive it.
  explicit Snapshot(std::vector<std::byte>& bytes) : written_(&bytes) {}
  /// Reads from `bytes`. Errors begin with `where`.
  Snapshot(std::span<const std::byte> bytes, std::string where) : left_(bytes), where_(std::move(where)) {}

  bool reads() const { return output_ == nullptr && written_ == nullptr; }
  void flush();
  /// Throws the Error of bytes that no run can have written.
  [[noreturn]] void damaged() const;

  template <class T>
  void operator()(T& value) {
    if constexpr (std::is_arithmetic_v<T>)
      bytes_of(std::span(&value, 1));
    else
      visit(value, *this);
  }
  void operator()(std::string& text) {
    size(text);
    bytes_of(std::span(text));
  }
  template <class T, std::size_t N>
  void operator()(std::array<T, N>& list) {
    for (T& value : list) (*this)(value);
  }
  template <class T>
  void operator()(std::vector<T>& list) {
    size(list);
    if constexpr (std::is_arithmetic_v<T>)
      bytes_of(std::span(list));
    else
      for (T& value : list) (*this)(value);
  }
  template <class T>
  void operator()(std::map<std::string, T>& values) {
    std::vector<std::string> names;
    for (const auto& [name, value] : values) names.push_back(name);
    (*this)(names);
    for (const std::string& name : names) (*this)(values[name]);
  }

 private:
  /// Writes the size of a list, or reads it and gives the list that size.
  template <class List>
  void size(List& list) {
    std::size_t count = list.size();
    bytes_of(std::span(&count, 1));
    if (!reads()) return;
    if (count > left_.size()) damaged();  // every value takes a byte at least
    list.resize(count);
  }
  template <class T>
  void bytes_of(std::span<T> values) {
    move(std::as_writable_bytes(values));
  }
  void move(std::span<std::byte> bytes);

  OutputFile* output_ = nullptr;
  std::vector<std::byte>* written_ = nullptr;
  std::vector<std::byte> unwritten_;
  std::span<const std::byte> left_;
  std::string where_;
};

/// Every rank gets the value that the first one has.
template <class T>
void share_state(const Ranks& ranks, T& value) {
  if (!ranks.many()) return;
  std::vector<std::byte> bytes;
  Snapshot written(bytes);
  if (ranks.is_first()) written(value);
  ranks.broadcast(bytes);
  Snapshot read(bytes, "what the first rank sent");
  if (!ranks.is_first()) read(value);
}

}  // namespace strata::importance
