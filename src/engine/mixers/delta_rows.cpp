// transformers: fix_query_key_value_ordering and Qwen3NextGatedDeltaNet.forward of modeling_qwen3_next.py,
// OlmoHybridGatedDeltaNet.forward of modeling_olmo_hybrid.py.
#include "engine/mixers/delta_rows.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "core/threads.h"
#include "engine/scale.h"
#include "kernel/gates.h"
#include "model/mixers/delta_net.h"
#include "model/tensors.h"

namespace strata::engine {
namespace {

/// A part of rows that hold several values of every key head together: `size` of one key head, which stand alone at
/// `rows`, (tokens, key_heads * size) with rows `stride` apart.
struct Part {
  std::size_t size;
  float* rows;
  std::size_t stride;
};
using Parts = std::initializer_list<Part>;

std::size_t width_of(const Parts& parts) {
  std::size_t width = 0;
  for (const Part& part : parts) width += part.size;
  return width;
}

/// Calls body(offset in the rows that hold all parts, a part's own rows at the same values, its size) for all.
template <class Body>
void for_each_piece(const Parts& parts, std::size_t tokens, std::size_t key_heads, const Body& body) {
  const std::size_t width = width_of(parts);
  parallel_for(tokens, [&](std::size_t t) {
    std::size_t at = t * key_heads * width;
    for (std::size_t h = 0; h < key_heads; ++h)
      for (const Part& part : parts) {
        body(at, part.rows + t * part.stride + h * part.size, part.size);
        at += part.size;
      }
  });
}

void take_apart(const Parts& parts, std::size_t tokens, std::size_t key_heads, const float* from) {
  for_each_piece(parts, tokens, key_heads,
                 [&](std::size_t at, float* rows, std::size_t size) { std::copy_n(from + at, size, rows); });
}

std::vector<float> put_together(const Parts& parts, std::size_t tokens, std::size_t key_heads) {
  std::vector<float> all(tokens * key_heads * width_of(parts));
  for_each_piece(parts, tokens, key_heads,
                 [&](std::size_t at, const float* rows, std::size_t size) { std::copy_n(rows, size, &all[at]); });
  return all;
}

/// Calls body(parts) with those of in_qkvz.
template <class Body>
auto with_qkvz(const model::DeltaNet& d, DeltaRows& rows, const Body& body) {
  const std::size_t keys = d.key_heads * d.key_size, values = d.values() / d.key_heads;
  float* const qkv = rows.qkv.data();
  return body({{d.key_size, qkv, d.channels()},
               {d.key_size, qkv + keys, d.channels()},
               {values, qkv + 2 * keys, d.channels()},
               {values, rows.z.data(), d.values()}});
}

/// Calls body(parts) with those of in_ba.
template <class Body>
auto with_ba(const model::DeltaNet& d, DeltaRows& rows, const Body& body) {
  const std::size_t share = d.value_heads / d.key_heads;
  return body({{share, rows.beta.data(), d.value_heads}, {share, rows.decay.data(), d.value_heads}});
}

}  // namespace

DeltaWeights read_delta_weights(const model::Model& model, std::size_t block) {
  const model::DeltaNet& d = model.architecture().delta;
  const auto read = [&](std::string_view part, std::size_t size) {
    return model.vector(model::kept_name(model.architecture(), block, part), size);
  };
  DeltaWeights w{{}, read("A_log", d.value_heads), read("dt_bias", d.value_heads), read(d.norm, d.value_size)};
  for (const model::DeltaStretch& part : model::delta_stretches(d)) {
    const std::vector<float> values = read(part.convolution, part.size * d.kernel);
    w.convolution.insert(w.convolution.end(), values.begin(), values.end());
  }
  for (float& rate : w.rates) rate = -std::exp(rate);
  return w;
}

void take_qkvz(const model::DeltaNet& d, const float* from, std::size_t tokens, DeltaRows& rows) {
  with_qkvz(d, rows, [&](Parts parts) { take_apart(parts, tokens, d.key_heads, from); });
}

void take_ba(const model::DeltaNet& d, const float* from, std::size_t tokens, DeltaRows& rows) {
  with_ba(d, rows, [&](Parts parts) { take_apart(parts, tokens, d.key_heads, from); });
}

std::vector<float> put_qkvz(const model::DeltaNet& d, std::size_t tokens, DeltaRows& rows) {
  return with_qkvz(d, rows, [&](Parts parts) { return put_together(parts, tokens, d.key_heads); });
}

std::vector<float> put_ba(const model::DeltaNet& d, std::size_t tokens, DeltaRows& rows) {
  return with_ba(d, rows, [&](Parts parts) { return put_together(parts, tokens, d.key_heads); });
}

void make_gates(const model::DeltaNet& d, const DeltaWeights& weights, DeltaRows& rows, std::vector<float>* steps) {
  const std::size_t heads = weights.rates.size();
  kernel::sigmoid(rows.beta.data(), rows.beta.size());
  scale(rows.beta.data(), rows.beta.size(), d.beta_scale);
  for (std::size_t i = 0; i < rows.decay.size(); ++i) rows.decay[i] += weights.dt_bias[i % heads];
  if (steps != nullptr) *steps = rows.decay;
  kernel::softplus(rows.decay.data(), rows.decay.size());
  for (std::size_t i = 0; i < rows.decay.size(); ++i) rows.decay[i] *= weights.rates[i % heads];
}

void make_gates_gradient(const model::DeltaNet& net, const DeltaWeights& weights, const DeltaRows& rows,
                         const std::vector<float>& steps, DeltaRows& d) {
  std::vector<float> open = rows.beta;  // as the sigmoid left it
  scale(open.data(), open.size(), 1.0f / net.beta_scale);
  kernel::sigmoid_gradient(open.data(), d.beta.size(), d.beta.data());
  scale(d.beta.data(), d.beta.size(), net.beta_scale);
  for (std::size_t i = 0; i < d.decay.size(); ++i) d.decay[i] *= weights.rates[i % weights.rates.size()];
  kernel::softplus_gradient(steps.data(), d.decay.size(), d.decay.data());
}

}  // namespace strata::engine
