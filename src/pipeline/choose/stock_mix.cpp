// The rules as llama.cpp has them: a base type, and exceptions by role and block. They were tuned by hand on Llama
// models; nothing here is ours, and tests/peers/test_llama_cpp.py holds every mix against llama-quantize itself.
#include "pipeline/choose/stock_mix.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/suggest.h"
#include "engine/site.h"
#include "format/ggml_types.h"

namespace strata::pipeline {
namespace {

using model::Role;

/// ggml type numbers.
enum Type : std::uint32_t {
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
};

enum class Mix {
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q8_0,
  Q2_K_S,
  Q2_K,
  Q3_K_S,
  Q3_K_M,
  Q3_K_L,
  Q4_K_S,
  Q4_K_M,
  Q5_K_S,
  Q5_K_M,
  Q6_K,
  IQ2_XXS,
  IQ2_XS,
  IQ2_S,
  IQ2_M,
  IQ3_XXS,
  IQ3_XS,
  IQ3_S,
  IQ3_M,
  IQ4_XS,
  IQ4_NL,
};

struct Row {
  std::string_view name;
  Mix mix;
  Type base;
};
constexpr std::array<Row, 25> kMixes{{
    {"Q2_K_S", Mix::Q2_K_S, kQ2_K},      {"Q2_K", Mix::Q2_K, kQ2_K},          {"Q3_K_S", Mix::Q3_K_S, kQ3_K},
    {"Q3_K_M", Mix::Q3_K_M, kQ3_K},      {"Q3_K_L", Mix::Q3_K_L, kQ3_K},      {"Q4_K_S", Mix::Q4_K_S, kQ4_K},
    {"Q4_K_M", Mix::Q4_K_M, kQ4_K},      {"Q5_K_S", Mix::Q5_K_S, kQ5_K},      {"Q5_K_M", Mix::Q5_K_M, kQ5_K},
    {"Q6_K", Mix::Q6_K, kQ6_K},          {"Q8_0", Mix::Q8_0, kQ8_0},          {"Q4_0", Mix::Q4_0, kQ4_0},
    {"Q4_1", Mix::Q4_1, kQ4_1},          {"Q5_0", Mix::Q5_0, kQ5_0},          {"Q5_1", Mix::Q5_1, kQ5_1},
    {"IQ2_XXS", Mix::IQ2_XXS, kIQ2_XXS}, {"IQ2_XS", Mix::IQ2_XS, kIQ2_XS},    {"IQ2_S", Mix::IQ2_S, kIQ2_XS},
    {"IQ2_M", Mix::IQ2_M, kIQ2_S},       {"IQ3_XXS", Mix::IQ3_XXS, kIQ3_XXS}, {"IQ3_XS", Mix::IQ3_XS, kIQ3_S},
    {"IQ3_S", Mix::IQ3_S, kIQ3_S},       {"IQ3_M", Mix::IQ3_M, kIQ3_S},       {"IQ4_XS", Mix::IQ4_XS, kIQ4_XS},
    {"IQ4_NL", Mix::IQ4_NL, kIQ4_NL},
}};

const Row& row_of(std::string_view name) {
  const auto it = std::ranges::find(kMixes, name, &Row::name);
  if (it != kMixes.end()) return *it;
  std::vector<std::string> known;
  for (const Row& row : kMixes) known.emplace_back(row.name);
  fail_usage("--like {}: unknown mix{}; name a GGUF file (.gguf) or one of {}", name, did_you_mean(name, known),
             fmt::join(known, ", "));
}

bool is_two_bit(Mix mix) { return mix >= Mix::IQ2_XXS && mix <= Mix::IQ2_M; }
bool is_larger_two_bit(Mix mix) { return mix == Mix::IQ2_S || mix == Mix::IQ2_M; }

/// The blocks that the _M mixes spend more on: the first and last eighth, and every third between.
bool more_bits(std::size_t block, std::size_t blocks) {
  return block < blocks / 8 || block >= 7 * blocks / 8 || (block - blocks / 8) % 3 == 2;
}

class Chooser {
 public:
  Chooser(const model::Architecture& a, const Row& row)
      : a_(a),
        mix_(row.mix),
        base_(row.base),
        wide_(a.heads / a.kv_heads >= 4),
        is_70b_(a.blocks == 80 && (a.model_type == "qwen2" || (a.model_type == "llama" && a.heads != a.kv_heads))) {}

  Type of(const model::Linear& linear) const {
    switch (linear.role) {
      case Role::lm_head:
        return head(linear.cols);
      case Role::embed:
        return a_.tied ? head(linear.cols) : embedding();
      case Role::v:
        return v(linear.block);
      case Role::qkv:
        return qkv();
      case Role::o:
        return o();
      case Role::down:
        return down(linear.block);
      case Role::embed_gate:
      case Role::embed_out:
        return base_;
      case Role::other:
        return feeding(linear.block);
      default:
        return engine::half_of(engine::input_site(linear.role)) == engine::Half::attention ? mixing()
                                                                                           : feeding(linear.block);
    }
  }

 private:
  /// Of q, k and all else that a mixer reads by.
  Type mixing() const { return mix_ == Mix::IQ3_XS ? kIQ3_XXS : mix_ == Mix::IQ3_XXS ? kIQ2_S : base_; }
  /// Of gate, up and all else that feed-forward parts read by.
  Type feeding(std::size_t block) const {
    return mix_ == Mix::IQ3_XS && block >= a_.blocks / 8 && block < 7 * a_.blocks / 8 ? kIQ3_XXS : base_;
  }
  Type qkv() const {
    if (mix_ == Mix::Q3_K_M || mix_ == Mix::Q3_K_L || mix_ == Mix::IQ3_M) return kQ4_K;
    if (mix_ == Mix::Q4_K_M) return kQ5_K;
    return mix_ == Mix::Q5_K_M ? kQ6_K : base_;
  }
  Type head(std::size_t cols) const {
    if (cols % format::find_ggml_type(base_)->block_weights != 0) return kQ8_0;
    if (is_two_bit(mix_) || mix_ == Mix::IQ3_XXS) return kQ5_K;
    return base_ == kQ8_0 ? kQ8_0 : kQ6_K;
  }

  Type embedding() const {
    if (mix_ == Mix::IQ2_XXS || mix_ == Mix::IQ2_XS) return kQ2_K;
    return is_larger_two_bit(mix_) || mix_ == Mix::IQ3_XXS ? kIQ3_S : base_;
  }

  Type v_of_mix(std::size_t block) const {
    if (is_two_bit(mix_)) return wide_ ? kQ4_K : is_larger_two_bit(mix_) ? kIQ3_S : kQ2_K;
    switch (mix_) {
      case Mix::Q2_K:
        return wide_ ? kQ4_K : kQ3_K;
      case Mix::Q2_K_S:
      case Mix::IQ3_XXS:
      case Mix::IQ3_XS:
      case Mix::IQ3_S:
        return wide_ ? kQ4_K : base_;
      case Mix::IQ3_M:
        return kQ4_K;
      case Mix::Q3_K_M:
        return block < 2 ? kQ5_K : kQ4_K;
      case Mix::Q3_K_L:
        return kQ5_K;
      case Mix::IQ4_NL:
      case Mix::IQ4_XS:
        return wide_ ? kQ5_K : base_;
      case Mix::Q4_K_M:
      case Mix::Q5_K_M:
        return more_bits(block, a_.blocks) ? kQ6_K : base_;
      case Mix::Q4_K_S:
        return block < 4 ? kQ5_K : base_;
      default:
        return base_;
    }
  }
  Type v(std::size_t block) const {
    const Type type = v_of_mix(block);
    return is_70b_ && !is_two_bit(mix_) && (type == kQ3_K || type == kQ4_K) ? kQ5_K : type;
  }

  Type o() const {
    if (is_larger_two_bit(mix_) || mix_ == Mix::IQ3_XXS) return kIQ3_S;
    if (mix_ == Mix::Q2_K) return kQ3_K;
    if (mix_ == Mix::Q3_K_M || mix_ == Mix::IQ3_M) return kQ4_K;
    return mix_ == Mix::Q3_K_L ? kQ5_K : base_;
  }

  Type down(std::size_t block) const {
    const bool first_eighth = block < a_.blocks / 8;
    if (is_two_bit(mix_)) return !first_eighth ? base_ : is_larger_two_bit(mix_) ? kIQ3_S : kQ2_K;
    switch (mix_) {
      case Mix::Q2_K:
        return kQ3_K;
      case Mix::Q2_K_S:
      case Mix::IQ3_M:
        return first_eighth ? kQ4_K : base_;
      case Mix::Q3_K_M:
        return block < a_.blocks / 16 ? kQ5_K : kQ4_K;
      case Mix::Q3_K_L:
        return kQ5_K;
      case Mix::Q4_K_M:
      case Mix::Q5_K_M:
        return more_bits(block, a_.blocks) ? kQ6_K : base_;
      case Mix::Q4_K_S:
        return first_eighth ? kQ5_K : base_;
      case Mix::Q4_0:
        return first_eighth ? kQ4_1 : base_;
      case Mix::Q5_0:
        return first_eighth ? kQ5_1 : base_;
      default:
        return base_;
    }
  }

  const model::Architecture& a_;
  Mix mix_;
  Type base_;
  bool wide_;    ///< four or more heads share a key
  bool is_70b_;  ///< models of 80 blocks, whose v is small beside the rest
};

/// What becomes of a type whose blocks do not divide the rows.
Type fallback(Type type, std::size_t cols) {
  if (cols % format::find_ggml_type(type)->block_weights == 0) return type;
  Type instead = kIQ4_NL;
  if (type == kQ2_K || type == kQ3_K) instead = kQ4_0;
  if (type == kQ4_K) instead = kQ5_0;
  if (type == kQ5_K) instead = kQ5_1;
  if (type == kQ6_K) instead = kQ8_0;
  return cols % 32 == 0 && instead != type ? instead : kF16;
}

}  // namespace

std::string stock_mix_names() {
  std::string names;
  for (const Row& row : kMixes) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

std::vector<StockTensor> stock_mix(const model::Architecture& a, std::string_view name) {
  const Chooser chooser(a, row_of(name));
  std::vector<StockTensor> result;
  for (const model::Linear& linear : a.linears) {
    const Type type = fallback(chooser.of(linear), linear.cols);
    const format::GgmlType& kind = *format::find_ggml_type(type);
    result.push_back({type, linear.rows * linear.cols / kind.block_weights * kind.block_bytes});
  }
  return result;
}

}  // namespace strata::pipeline
