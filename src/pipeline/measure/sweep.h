// The experiments of "Layer-Wise Quantization" (arXiv 2406.17415) on one model: what lowering more and more blocks
// costs, in every order; against pruning; and the three tiers against FP8. Every measurement is journalled.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "importance/calibration.h"

namespace strata::pipeline {

struct SweepRequest {
  const codec::Codec* high = nullptr;
  const codec::Codec* low = nullptr;
  std::size_t tokens = 1024;           ///< of the text that every point is measured on
  std::size_t step = 0;                ///< blocks between points; 0: about 15 points a curve
  std::size_t random_orders = 5;       ///< number of random orders, with seeds from 0
  std::filesystem::path journal = {};  ///< where measurements are kept; empty: nowhere
};

struct SweepPoint {
  std::size_t lowered = 0;  ///< blocks at the low codec, or cut out
  double bits = 0.0;        ///< true bits of the blocks' linears
  double kl = 0.0, kl_standard_error = 0.0;
  double perplexity = 0.0;
};

/// Points from no block lowered to all, the least important first.
struct SweepCurve {
  std::string order;  ///< lim, zd, lim reversed, zd reversed, first, last, first and last, random 0.., kl, best, pruned
  std::vector<SweepPoint> points;
  /// Mean KL over the curve (trapezoids): smaller is the better order.
  double mean_kl() const;
  /// Share of the blocks lowered where the KL reaches this share of the way from its first point to `all`.
  double share_at(double share, double all) const;
};

/// A whole plan measured.
struct SweepPlan {
  std::string name;
  double bits = 0.0, kl = 0.0, kl_standard_error = 0.0, perplexity = 0.0;
  double gigabytes_per_token = 0.0;  ///< of linears, that one token reads
};

struct Claim {
  std::string claim;
  bool holds;
  std::string figures;
};

struct SweepResult {
  std::string high, low;
  double perplexity = 0.0;  ///< that the original has
  std::size_t blocks = 0, tokens = 0;
  std::vector<SweepCurve> curves;
  std::vector<SweepPlan> plans;    ///< three tiers at 5 to 8 bits, and fp8 per channel
  std::vector<std::string> notes;  ///< what could not be measured, and why
  json to_json() const;
  /// order,lowered,bits,kl,kl_stderr,perplexity
  std::string to_csv() const;
};

/// Signals come from `calibration`; every point is measured on `text` (at least 2 tokens a sequence). Memory: copies of
/// all linears in both codecs, and the divergence meter's. Throws Error as importance::score, and Interrupted after
/// Ctrl-C; the journal is left, and the next run resumes with the same result.
SweepResult sweep(engine::Engine& engine, const importance::CalibrationSet& calibration,
                  const importance::CalibrationSet& text, const SweepRequest& request);

/// What the paper and llm-compressor's mixed-precision work (its pull request 2083) say, held against the figures.
std::vector<Claim> check_claims(const SweepResult& result);

}  // namespace strata::pipeline
