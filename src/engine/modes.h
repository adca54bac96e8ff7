// What an engine can be told to do besides running: each mode lasts as long as its guard lives, so that no exception
// leaves one on. At most one guard of a kind is alive for an engine, except Replacing.
#pragma once
#include <cstddef>
#include <set>
#include <vector>

#include "engine/engine.h"

namespace strata::engine {

/// What the linears of all blocks read and gave while the original ran on one batch. Memory in bytes: 4 * tokens * (the
/// rows of all linears + the columns of those that do not share their input with the one before).
struct Record {
  std::vector<std::vector<float>> inputs;  ///< by linear: (tokens, cols); empty when it reads what the one before reads
  std::vector<std::vector<float>> outputs;  ///< by linear: (tokens, rows), bias included; empty when not recorded
};

/// A watch is shown the inputs of the engine's experts. The watch must outlive the guard; nullptr shows nothing.
class Watching {
 public:
  Watching(Engine& engine, const ExpertWatch* watch) : engine_(engine) { engine_.watch_ = watch; }
  ~Watching() { engine_.watch_ = nullptr; }
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;

 private:
  Engine& engine_;
};

/// What the linears of the blocks read and give is kept in a record, in place of what the record held. The record must
/// outlive the guard; nullptr keeps nothing.
class Recording {
 public:
  Recording(Engine& engine, Record* record);
  ~Recording() { engine_.record_ = nullptr; }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

 private:
  Engine& engine_;
};

/// Batches are taken for the recorded one with changes. The product of a recorded linear that is not replaced is made
/// from what changed, y + W (x' - x), with the difference rounded to bf16 and sums in f32: since rounding is relative
/// to the change, that is as good as f32 throughout, at the speed of bf16. The record must outlive the guard; with
/// nullptr products are made as usual.
class Following {
 public:
  Following(Engine& engine, const Record* record) : engine_(engine) { engine_.followed_ = record; }
  ~Following() { engine_.followed_ = nullptr; }
  Following(const Following&) = delete;
  Following& operator=(const Following&) = delete;

 private:
  Engine& engine_;
};

/// Linears have other weights than the model's, and may read their inputs rounded, as under RoundingInputs, which this
/// goes before; beside Following too, since products of replaced linears are not made from changes. A linear is named
/// by its index into Architecture::linears; the weights must outlive their use. Of two guards that set the same linear
/// the later call decides, and the first guard that ends gives the linear its model's weights again.
class Replacing {
 public:
  explicit Replacing(Engine& engine) : engine_(engine) {}
  ~Replacing() { reset(); }
  Replacing(const Replacing&) = delete;
  Replacing& operator=(const Replacing&) = delete;

  void set(std::size_t linear, kernel::Weights weights, codec::ActivationRounding reads = {});
  /// The linear has the model's weights again.
  void reset(std::size_t linear);
  /// All linears that this guard has set have the model's weights again.
  void reset();

 private:
  Engine& engine_;
  std::set<std::size_t> linears_;
};

/// What is done with the new keys and values of every block before they are kept and read.
struct CacheUse {
  /// By block. rounds: a key x is read as the nearest FP8 value of x / k, times k, and values likewise; a block without
  /// scales keeps both as they are. Otherwise: the largest magnitudes so far.
  std::vector<model::CacheScales> scales;
  bool rounds = true;

  /// k, v: (tokens, size), new in `block`.
  void take(std::size_t block, std::size_t tokens, std::size_t size, float* k, float* v);
};

/// Keys and values of attention are rounded to FP8, or their range is found. `use` must outlive the guard and have
/// scales for every block.
class HoldingCache {
 public:
  HoldingCache(Engine& engine, CacheUse& use);
  ~HoldingCache() { engine_.cache_use_ = nullptr; }
  HoldingCache(const HoldingCache&) = delete;
  HoldingCache& operator=(const HoldingCache&) = delete;

 private:
  Engine& engine_;
};

/// A sequence gives the same bits in every batch of more than kernel::kFewTokens tokens: the few rows that one expert
/// gets are multiplied as many are, which takes more time.
class AlikeInBatches {
 public:
  explicit AlikeInBatches(Engine& engine) : engine_(engine) { engine_.alike_ = true; }
  ~AlikeInBatches() { engine_.alike_ = false; }
  AlikeInBatches(const AlikeInBatches&) = delete;
  AlikeInBatches& operator=(const AlikeInBatches&) = delete;

 private:
  Engine& engine_;
};

/// Single tokens are rounded to 8 bits before they are multiplied with weights that are stored in a codec, where
/// kernel/byte_products.h has kernels for it: for text that is written, not for what is measured. on: or nothing
/// changes.
class InBytes {
 public:
  InBytes(Engine& engine, bool on) : engine_(engine) { engine_.in_bytes_ = on; }
  ~InBytes() { engine_.in_bytes_ = false; }
  InBytes(const InBytes&) = delete;
  InBytes& operator=(const InBytes&) = delete;

 private:
  Engine& engine_;
};

/// Linears read their inputs rounded, as a runtime's kernels do before they multiply. `rounding`, by index into
/// Architecture::linears, must outlive the guard; an empty one rounds nothing. Not beside Recording or Following: a
/// change of a rounded input is none of a product. At Precision::bf16 a rounded value is rounded once more, by a share
/// of 2^-9, where kernels multiply its code.
class RoundingInputs {
 public:
  RoundingInputs(Engine& engine, const std::vector<codec::ActivationRounding>& rounding);
  ~RoundingInputs() { engine_.rounding_ = nullptr; }
  RoundingInputs(const RoundingInputs&) = delete;
  RoundingInputs& operator=(const RoundingInputs&) = delete;

 private:
  Engine& engine_;
};

}  // namespace strata::engine
