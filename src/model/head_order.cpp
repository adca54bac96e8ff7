// Rows and columns are moved whole, in the type that the source has them in, so that not a bit of them changes.
// Which tensors hold heads of values: transformers, modeling_qwen3_5.py; llama.cpp, conversion/qwen.py.
#include "model/head_order.h"

#include <algorithm>

#include "core/threads.h"
#include "model/over_source.h"
#include "model/tensors.h"

namespace strata::model {
namespace {

class Reordered final : public OverSource {
 public:
  Reordered(std::shared_ptr<const TensorSource> source, HeadOrders orders)
      : OverSource(std::move(source)), orders_(std::move(orders)) {}

  LinearWeights matrix(const std::string& name, std::size_t rows, std::size_t cols) const override {
    LinearWeights given = source_->matrix(name, rows, cols);
    const HeadOrder* const order = order_of(name);
    if (order == nullptr) return given;
    const MatrixView& view = given.view().dense;
    const std::size_t unit = dtype_bytes(view.dtype);
    std::vector<std::byte> values = moved(*order, rows, cols * unit, unit, [&](std::size_t r) { return view.row(r); });
    source_->release(name);
    return {std::move(values), rows, cols, view.dtype};
  }

  LinearWeights packed(const std::string& name, std::size_t rows, std::size_t cols) const override {
    if (order_of(name) == nullptr) return source_->packed(name, rows, cols);
    return native_codec(name, rows, cols) != nullptr ? LinearWeights(native(name, rows, cols))
                                                     : matrix(name, rows, cols);
  }

  std::uint64_t copied_bytes(const std::string& name, std::size_t rows, std::size_t cols) const override {
    if (order_of(name) == nullptr) return source_->copied_bytes(name, rows, cols);
    const codec::Codec* const codec = native_codec(name, rows, cols);
    return codec != nullptr ? codec::stored_bytes(*codec, rows, cols) : rows * cols * sizeof(float);
  }

  const codec::Codec* native_codec(const std::string& name, std::size_t rows, std::size_t cols) const override {
    const codec::Codec* const codec = source_->native_codec(name, rows, cols);
    const HeadOrder* const order = order_of(name);
    if (order == nullptr || codec == nullptr) return codec;
    // All of a row lies together, and nothing beside the rows.
    const bool in_rows = codec->container == codec::Container::gguf && !codec->tensor_scaled;
    return in_rows && (!order->columns || order->size % codec->fit_size(cols) == 0) ? codec : nullptr;
  }

  codec::Stored native(const std::string& name, std::size_t rows, std::size_t cols) const override {
    codec::Stored stored = source_->native(name, rows, cols);
    const HeadOrder* const order = order_of(name);
    if (order == nullptr) return stored;
    const std::span<const std::byte> bytes = stored.views.at(0);
    const std::size_t row_bytes = bytes.size() / rows, block = stored.codec->fit_size(cols);
    // Of columns, blocks are moved; of rows, whole ones.
    HeadOrder of_blocks = *order;
    if (order->columns) of_blocks.size /= block;
    std::vector<std::byte> values = moved(of_blocks, rows, row_bytes, row_bytes / (cols / block),
                                          [&](std::size_t r) { return bytes.data() + r * row_bytes; });
    stored.parts = {std::move(values)};
    stored.views = {stored.parts.front()};
    return stored;
  }

  std::vector<float> vector(const std::string& name, std::size_t size) const override {
    std::vector<float> values = source_->vector(name, size);
    const HeadOrder* const order = order_of(name);
    if (order == nullptr) return values;
    std::vector<float> result(size);
    for (std::size_t i = 0; i < size; ++i) result[i] = values[order->source(i)];
    return result;
  }

 private:
  const HeadOrder* order_of(std::string_view name) const {
    const auto it = orders_.find(name);
    return it == orders_.end() ? nullptr : &it->second;
  }

  /// The bytes of a matrix in the other order. unit: bytes of what a column is.
  template <class Row>
  static std::vector<std::byte> moved(const HeadOrder& order, std::size_t rows, std::size_t row_bytes, std::size_t unit,
                                      const Row& row) {
    std::vector<std::byte> values(rows * row_bytes);
    const std::size_t step = order.columns ? order.size * unit : row_bytes;
    parallel_for(rows, [&](std::size_t r) {
      const std::byte* const from = row(order.columns ? r : order.source(r));
      std::byte* const to = values.data() + r * row_bytes;
      for (std::size_t at = 0; at < row_bytes; at += step)
        std::copy_n(from + (order.columns ? order.source(at / unit) * unit : 0), step, to + at);
    });
    return values;
  }

  HeadOrders orders_;
};

}  // namespace

HeadOrders value_head_orders(const Architecture& a, bool tiled) {
  const DeltaNet& d = a.delta;
  HeadOrders orders;
  if (d.kernel == 0 || d.value_heads == d.key_heads) return orders;
  const std::size_t each = d.value_heads / d.key_heads, keys = 2 * d.key_heads * d.key_size;
  const auto add = [&](std::string name, std::size_t size, std::size_t first = 0, bool columns = false) {
    orders[std::move(name)] =
        tiled ? HeadOrder{d.key_heads, each, size, first, columns} : HeadOrder{each, d.key_heads, size, first, columns};
  };
  for (std::size_t b = 0; b < a.blocks; ++b) {
    if (a.attention[b].mixer != Mixer::delta) continue;
    const auto weight = [&](Role role) { return a.linear(b, role).module + ".weight"; };
    add(weight(Role::in_qkv), d.value_size, keys);
    add(weight(Role::in_z), d.value_size);
    add(weight(Role::in_b), 1);
    add(weight(Role::in_a), 1);
    add(weight(Role::o), d.value_size, 0, true);
    add(kept_name(a, b, "conv1d.weight"), d.value_size * d.kernel, keys * d.kernel);
    add(kept_name(a, b, "A_log"), 1);
    add(kept_name(a, b, "dt_bias"), 1);
  }
  return orders;
}

std::shared_ptr<const TensorSource> reordered(std::shared_ptr<const TensorSource> source, HeadOrders orders) {
  return std::make_shared<Reordered>(std::move(source), std::move(orders));
}

}  // namespace strata::model
