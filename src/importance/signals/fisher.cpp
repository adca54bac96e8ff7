// fisher: what a linear under a codec costs in nats, (1/2) sum_ij F_ij dw_ij^2 with F the diagonal of the Fisher
// information: expected squares of the gradient of log p of tokens that are drawn from the model itself, which is the
// second derivative of the KL divergence. F is taken as a product of rows and columns. A layer's trace of F times its
// squared error is what HAWQ-V2 (arXiv 1911.03852) ranks layers by.
#include "importance/signals/fisher.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <utility>

#include "core/checked.h"
#include "core/progress.h"
#include "core/threads.h"
#include "engine/model_gradient.h"
#include "engine/sampler.h"
#include "kernel/gradients.h"
#include "kernel/outer_products.h"
#include "kernel/round_rows.h"
#include "kernel/softmax.h"
#include "model/damage.h"
#include "quantize/shared_sum.h"

namespace strata::importance {
namespace {

constexpr kernel::Precision kPrecision = kernel::Precision::bf16;
constexpr std::size_t kBatchTokens =
    1024;  // tokens that run together, so that the weights are transposed once for all of them
constexpr std::size_t kColumnsAtOnce = 64;  // columns whose sums a thread makes

/// The sum over rows of G^2 by column of G = dy^T x, which is x_j^T (dy dy^T) x_j: made from products of tokens.
std::vector<double> squared_columns(std::span<const float> dy, std::span<const float> x, std::size_t tokens) {
  const std::size_t rows = dy.size() / tokens, cols = x.size() / tokens;
  std::vector<float> gram(tokens * tokens), turned(x.size()), product(x.size());
  kernel::matmul(dy.data(), rows, tokens, {MatrixView::dense(dy.data(), tokens, rows, DType::f32), nullptr},
                 gram.data(), tokens, kPrecision);
  kernel::transpose(x.data(), cols, tokens, cols, turned.data());
  kernel::matmul(turned.data(), tokens, cols, {MatrixView::dense(gram.data(), tokens, tokens, DType::f32), nullptr},
                 product.data(), tokens, kPrecision);
  std::vector<double> result(cols);
  parallel_for(cols, [&](std::size_t j) {
    double sum = 0.0;
    for (std::size_t i = j * tokens; i < (j + 1) * tokens; ++i)
      sum += static_cast<double>(turned[i]) * static_cast<double>(product[i]);
    result[j] = std::max(0.0, sum);
  });
  return result;
}

/// Sums of the squares of G = dy^T x (rows, cols).
struct Squares {
  std::vector<double> rows, columns;
};

Squares squares_by_products_of_tokens(const engine::LinearRows& of, std::size_t tokens) {
  return {squared_columns(of.x, of.dy, tokens), squared_columns(of.dy, of.x, tokens)};
}

Squares squares_of_whole_gradient(const engine::LinearRows& of, std::size_t tokens) {
  const std::size_t rows = of.dy.size() / tokens, cols = of.x.size() / tokens;
  std::vector<float> gradient(rows * cols, 0.0f);
  kernel::add_outer_products(of.dy.data(), rows, of.x.data(), cols, tokens, gradient.data(), kernel::Part::all,
                             kPrecision);
  Squares sums{std::vector<double>(rows), std::vector<double>(cols)};
  const auto square = [&](std::size_t r, std::size_t c) {
    return static_cast<double>(gradient[r * cols + c]) * static_cast<double>(gradient[r * cols + c]);
  };
  parallel_for(rows, [&](std::size_t r) {
    for (std::size_t c = 0; c < cols; ++c) sums.rows[r] += square(r, c);
  });
  parallel_for(ceil_div(cols, kColumnsAtOnce), [&](std::size_t part) {
    const std::size_t first = part * kColumnsAtOnce, end = std::min(cols, first + kColumnsAtOnce);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = first; c < end; ++c) sums.columns[c] += square(r, c);
  });
  return sums;
}

/// Takes the way of fewer operations: with many tokens G is smaller than the products of every two of them.
Squares squares_of_gradient(const engine::LinearRows& of, std::size_t tokens) {
  const std::size_t rows = of.dy.size() / tokens, cols = of.x.size() / tokens;
  return rows * cols < 2 * tokens * (rows + cols) ? squares_of_whole_gradient(of, tokens)
                                                  : squares_by_products_of_tokens(of, tokens);
}

/// The rows of the sequence whose tokens are those from `first` to `end` of a batch of `tokens`.
engine::LinearRows rows_between(const engine::LinearRows& rows, std::size_t first, std::size_t end,
                                std::size_t tokens) {
  std::size_t count = tokens, begin = first, behind = end;
  if (!rows.tokens.empty()) {
    const auto place = [&](std::size_t token) {
      return static_cast<std::size_t>(std::ranges::lower_bound(rows.tokens, token) - rows.tokens.begin());
    };
    count = rows.tokens.size();
    begin = place(first);
    behind = place(end);
  }
  const auto part = [&](std::span<const float> values) {
    const std::size_t size = values.size() / count;
    return values.subspan(begin * size, (behind - begin) * size);
  };
  return {part(rows.dy), part(rows.x)};
}

/// The sums over rows of G^2 by column for an embedding that is looked up: row r of G is the sum of dh over the places
/// of token r.
std::vector<double> squared_columns_of_lookup(const std::vector<engine::Token>& ids, std::span<const float> dh) {
  const std::size_t cols = dh.size() / ids.size();
  std::map<engine::Token, std::vector<double>> rows;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    std::vector<double>& row = rows[ids[t]];
    row.resize(cols, 0.0);
    for (std::size_t j = 0; j < cols; ++j) row[j] += static_cast<double>(dh[t * cols + j]);
  }
  std::vector<double> result(cols, 0.0);
  for (const auto& [id, row] : rows)
    for (std::size_t j = 0; j < cols; ++j) result[j] += row[j] * row[j];
  return result;
}

/// The logits (tokens, vocab) of a sequence become the gradient of -log p of a token that is drawn by each row's own
/// probabilities.
void draw_tokens(std::span<float> logits, std::size_t vocab, std::uint64_t seed) {
  parallel_for(logits.size() / vocab, [&](std::size_t t) {
    const std::span<float> row = logits.subspan(t * vocab, vocab);
    Random random(seed + t);
    const engine::Token drawn = engine::sample(row, {.temperature = 1.0}, random);
    const auto log_sum = static_cast<float>(kernel::softmax_row(row.data(), vocab).log_sum_exp);
    for (float& x : row) x = std::exp(x - log_sum);
    row[drawn] -= 1.0f;
  });
}

/// Numbers of all linears, which ranks add in an order that does not depend on their number.
struct Numbers {
  std::vector<double> values;
  Numbers& operator+=(const Numbers& other) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += other.values[i];
    return *this;
  }
};
std::size_t packed_bytes(const Numbers& numbers) { return std::as_bytes(std::span(numbers.values)).size(); }
std::vector<std::byte> packed(const Numbers& numbers) {
  const auto bytes = std::as_bytes(std::span(numbers.values));
  return {bytes.begin(), bytes.end()};
}
void unpack(std::span<const std::byte> bytes, Numbers& numbers) {
  std::ranges::copy(bytes, std::as_writable_bytes(std::span(numbers.values)).begin());
}

/// Squared gradients of every linear, summed over the sequences of a set. Ranks share its parts.
class SquaredGradients {
 public:
  SquaredGradients(const engine::Engine& engine, const CalibrationSet& set, std::size_t used, const Ranks& ranks)
      : engine_(engine),
        a_(engine.architecture()),
        set_(set),
        ranks_(ranks),
        length_(set.sequences.front().size()),
        per_batch_(std::max<std::size_t>(1, kBatchTokens / length_)),
        parts_(parts_of(set.sequences.size())),
        used_(used),
        gradient_(engine, kPrecision),
        tokens_(parts_, 0.0) {
    for (std::size_t s = 0; s < used; ++s) tokens_[part(s)] += static_cast<double>(length_);
    for (const model::Linear& linear : a_.linears) {
      columns_.emplace_back(parts_);
      for (std::size_t p = ranks.first_of(parts_); p < ranks.end_of(parts_); ++p)
        columns_.back()[p].resize(linear.cols, 0.0);
      rows_.emplace_back([size = linear.rows] { return Numbers{std::vector<double>(size, 0.0)}; }, parts_,
                         ranks.first_of(parts_), ranks.end_of(parts_));
    }
  }

  /// Runs this rank's sequences.
  void run() {
    const std::vector<std::size_t> begins = sequences_of_ranks(ranks_, used_);
    const std::size_t end = begins[ranks_.rank() + 1];
    Progress progress("gradients", ceil_div(end - begins[ranks_.rank()], per_batch_) * 2 * a_.blocks);
    for (std::size_t first = begins[ranks_.rank()]; first < end; first += per_batch_)
      add(first, std::min(per_batch_, end - first), [&] { progress.advance(); });
  }

  Sensitivities sensitivities() && {
    share_columns();
    Sensitivities result;
    for (auto& columns : columns_) result.push_back({std::move(columns), {}});
    std::vector<double> all_rows = sum_of_rows();
    auto next = all_rows.begin();
    for (std::size_t l = 0; l < result.size(); ++l) {
      const std::size_t rows = a_.linears[l].rows;
      Sensitivity& linear = result[l];
      linear.rows.assign(next, next + static_cast<std::ptrdiff_t>(rows));
      next += static_cast<std::ptrdiff_t>(rows);
      for (std::size_t p = 0; p < parts_; ++p)
        for (double& value : linear.columns[p]) value *= 0.5 / (tokens_[p] * static_cast<double>(rows));
      const double sum = std::accumulate(linear.rows.begin(), linear.rows.end(), 0.0);
      for (double& value : linear.rows) value = sum > 0.0 ? value * static_cast<double>(rows) / sum : 1.0;
    }
    return result;
  }

 private:
  /// Runs sequences [first, first + count).
  void add(std::size_t first, std::size_t count, const std::function<void()>& between) {
    const auto sequences = std::span(set_.sequences).subspan(first, count);
    std::vector<engine::Token> ids;
    for (const auto& sequence : sequences) ids.insert(ids.end(), sequence.begin(), sequence.end());
    const auto rows_of = [&](const std::vector<float>& rows, std::size_t s) {
      return std::span(rows).subspan(s * rows.size() / count, rows.size() / count);
    };
    const auto each = [&](std::size_t linear, const auto& body) {
      for (std::size_t s = 0; s < count && linear != model::kNoLinear; ++s) body(s, columns_[linear][part(first + s)]);
    };
    const engine::Batch batch = engine_.make_batch(std::vector<engine::Sequence>(count, engine::Sequence{length_}));
    const auto each_with_rows = [&](std::size_t linear, const engine::LinearRows& rows, const auto& body) {
      each(linear, [&](std::size_t s, std::vector<double>& columns) {
        const engine::LinearRows own = rows_between(rows, s * length_, (s + 1) * length_, batch.tokens);
        if (!own.x.empty()) body(own, part(first + s), columns);  // none of its tokens may be routed to an expert
      });
    };
    std::vector<float>& logits = gradient_.forward(batch, ids, between);
    if (!kernel::all_finite(logits.data(), logits.size()))
      model::fail_not_finite(engine_.model(), "the logits are not finite for the calibration text",
                             "the weights are damaged");
    for (std::size_t s = 0; s < count; ++s)
      draw_tokens(std::span(logits).subspan(s * length_ * a_.vocab, length_ * a_.vocab), a_.vocab, seed(first + s));
    gradient_.backward(batch,
                       {.head =
                            [&](const auto& dy, const auto& x) {
                              each_with_rows(a_.tied ? a_.embedding() : a_.lm_head(), {dy, x},
                                             [](const auto& own, std::size_t, std::vector<double>& columns) {
                                               const std::size_t tokens = own.x.size() / columns.size();
                                               add_to(columns, squared_columns(own.dy, own.x, tokens));
                                             });
                            },
                        .linears =
                            [&](std::size_t l, const engine::LinearRows& rows) {
                              each_with_rows(
                                  l, rows, [&](const auto& own, std::size_t p, std::vector<double>& columns) {
                                    const Squares sums = squares_of_gradient(own, own.x.size() / columns.size());
                                    add_to(columns, sums.columns);
                                    add_to(rows_[l].of_part(p).values, sums.rows);
                                  });
                            },
                        .embedding =
                            [&](const auto& dh) {
                              each(a_.embedding(), [&](std::size_t s, std::vector<double>& columns) {
                                add_to(columns, squared_columns_of_lookup(sequences[s], rows_of(dh, s)));
                              });
                            }},
                       between);
  }

  /// Every rank gets the sums by column, those of a part at a time.
  void share_columns() {
    for (std::size_t p = 0; ranks_.many() && p < parts_; ++p) {
      std::vector<double> all;
      for (const auto& columns : columns_) all.insert(all.end(), columns[p].begin(), columns[p].end());
      ranks_.broadcast(all, ranks_.owner_of(parts_, p));
      auto next = all.begin();
      for (std::size_t l = 0; l < columns_.size(); ++l) {
        const auto end = next + static_cast<std::ptrdiff_t>(a_.linears[l].cols);
        columns_[l][p].assign(next, end);
        next = end;
      }
    }
  }

  /// The sums by row over all parts, of one linear after another.
  std::vector<double> sum_of_rows() {
    std::size_t count = 0;
    for (const model::Linear& linear : a_.linears) count += linear.rows;
    const auto zero = [count] { return Numbers{std::vector<double>(count, 0.0)}; };
    const std::vector<quantize::SumNode> nodes = quantize::nodes_of_rank(ranks_, parts_, ranks_.rank());
    std::vector<Numbers> of_nodes(nodes.size(), zero());
    std::size_t begin = 0;
    for (std::size_t l = 0; l < rows_.size(); begin += a_.linears[l++].rows) {
      const std::vector<std::optional<Numbers>> sums = rows_[l].take();
      for (std::size_t n = 0; n < sums.size(); ++n)
        if (sums[n])
          std::ranges::copy(sums[n]->values, of_nodes[n].values.begin() + static_cast<std::ptrdiff_t>(begin));
    }
    quantize::OrderedSum<Numbers> all(zero, parts_, ranks_.first_of(parts_), ranks_.end_of(parts_));
    for (std::size_t n = 0; n < nodes.size(); ++n) all.add(nodes[n], std::move(of_nodes[n]));
    return quantize::total(all, ranks_).values;
  }

  /// Of the draws of a sequence, whatever the batch that it runs in.
  std::uint64_t seed(std::size_t sequence) const {
    const std::size_t in_batch = sequence % per_batch_;
    return set_.source.hash + (sequence - in_batch) * 0x10001 + in_batch * length_;
  }
  std::size_t part(std::size_t sequence) const { return sequence * parts_ / used_; }
  static void add_to(std::vector<double>& sums, const std::vector<double>& squares) {
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += squares[i];
  }

  const engine::Engine& engine_;
  const model::Architecture& a_;
  const CalibrationSet& set_;
  const Ranks ranks_;
  std::size_t length_, per_batch_, parts_, used_;
  engine::ModelGradient gradient_;
  std::vector<double> tokens_;                             ///< by part
  std::vector<std::vector<std::vector<double>>> columns_;  ///< by linear and part; empty for parts of other ranks
  std::vector<quantize::OrderedSum<Numbers>> rows_;        ///< by linear
};

}  // namespace

void visit(Sensitivity& sensitivity, Snapshot& snapshot) {
  snapshot(sensitivity.columns);
  snapshot(sensitivity.rows);
}

std::uint64_t sensitivity_bytes(const model::Architecture& architecture) {
  std::uint64_t bytes = 0;
  for (const model::Linear& linear : architecture.linears)
    bytes += sizeof(double) * (linear.rows + kParts * linear.cols);
  return bytes;
}

std::size_t sensitivity_sequences(std::size_t sequences, std::size_t length) {
  return std::min(sequences, std::max(parts_of(sequences), kSensitivityTokens / length));
}

Sensitivities sensitivities(const engine::Engine& engine, const CalibrationSet& set, const Ranks& ranks) {
  SquaredGradients squares(engine, set, sensitivity_sequences(set.sequences.size(), set.sequences.front().size()),
                           ranks);
  squares.run();
  Sensitivities result = std::move(squares).sensitivities();
  for (const Sensitivity& linear : result)
    for (const std::vector<double>& part : linear.columns)
      if (!std::ranges::all_of(part, [](double value) { return std::isfinite(value); }))
        model::fail_not_finite(engine.model(), "gradients by the calibration text are not finite",
                               "the weights are damaged");
  return result;
}

std::vector<double> fisher(const LinearInputs& inputs, const ColumnProducts& difference) {
  return weighed(inputs.sensitivities, difference.weighted_squares);
}

}  // namespace strata::importance
