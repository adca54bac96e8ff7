// What a plan may spend: one of five budgets, or none.
// A budget is said to users in the words of the option that gives it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

namespace strata::pipeline {

/// --bits: bytes written x 8 / weights, over the linears of the blocks.
struct BitsBudget {
  double bits;
};
/// --size: the whole output on disk.
struct SizeBudget {
  std::uint64_t bytes;
};
/// --fit: memory of a runtime with the model loaded (choose/runtime_memory.h has the formula).
struct MemoryBudget {
  std::uint64_t bytes;
  std::size_t context = 4096, batch = 1;  ///< tokens of a sequence in the KV cache, and sequences at a time
  /// --fit-experts: main memory that holds the experts, `bytes` being a GPU's then; 0: one memory holds all.
  std::uint64_t expert_bytes = 0;
};
/// --max-kl: the smallest plan whose measured KL divergence, in nats per token, stays under this (measure/max_kl.h).
struct KlBudget {
  double nats;
};
/// --like: the bytes of one of llama.cpp's own mixes, such as "Q4_K_M" (choose/stock_mix.h), or of a GGUF file.
struct StockBudget {
  std::string mix;  ///< a path where it ends in ".gguf"
  bool is_file() const { return mix.ends_with(".gguf"); }
};

using Budget = std::variant<std::monostate, BitsBudget, SizeBudget, MemoryBudget, KlBudget, StockBudget>;

inline bool is_given(const Budget& budget) { return !std::holds_alternative<std::monostate>(budget); }

/// Sets the budget. Throws UsageError when one is set already: two budgets contradict each other.
void give(Budget& budget, Budget value);

/// The option that gives this budget: "--size 110MiB", "--like Q4_K_M"; empty without a budget.
std::string text_of(const Budget& budget);

/// The fewest whole bytes in the largest unit that says them exactly: "110MiB", "90MB", "12345".
std::string exact_size(std::uint64_t bytes);

}  // namespace strata::pipeline
