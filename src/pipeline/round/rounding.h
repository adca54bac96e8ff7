// Calibrated rounding of a whole model, block by block: every linear sees the inputs that the already rounded part of
// the model gives it. Memory: one block's Hessians and stored linears, and the calibration set's hidden states.
#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/progress.h"
#include "engine/hidden_states.h"
#include "engine/modes.h"
#include "importance/calibration.h"
#include "pipeline/output/tensor_scales.h"
#include "pipeline/round/kept_rows.h"
#include "pipeline/round/original_stream.h"
#include "pipeline/round/tune_block.h"
#include "quantize/drift.h"
#include "quantize/gptq.h"

namespace strata::pipeline {

struct RoundingOptions {
  quantize::GptqOptions gptq{};
  bool asymmetric = false;  ///< linears are corrected for the drift of their inputs from the original's
  TuneOptions tune{};       ///< each block, after its linears are rounded
  bool keep_rows = false;   ///< inputs of o and down are kept (SiteRows): less time, more memory, the same bytes
};

/// What became of one linear: errors are tr(dW H dW^T) / tr(W H W^T) under its inputs.
struct RoundedLinear {
  std::string module, codec;
  double relative_error = 0.0, nearest_relative_error = 0.0;
  std::optional<std::size_t> routed{};  ///< of an expert: tokens that the router sends it
  std::size_t tokens = 0;               ///< that the Hessian is of; of an expert: those, or all when they are too few
  json to_json() const;
  static RoundedLinear from_json(const json& value, const std::string& where);
};

class Rounding {
 public:
  /// Sequences of a batch: as many as keep the engine's buffers at 256 MiB. It decides how sums are cut, and so bytes:
  /// it must depend on the model and the set alone.
  static std::size_t sequences_together(const model::Architecture& architecture, std::size_t sequences,
                                        std::size_t seq_len);
  /// Bytes that keep_rows takes.
  static std::uint64_t kept_rows_bytes(const model::Architecture& architecture, std::size_t tokens);
  /// Numbers that the engine holds for each token of a batch.
  static std::size_t floats_per_token(const model::Architecture& architecture);

  /// Told of every linear as it is done.
  using Listener = std::function<void(const RoundedLinear&)>;

  /// codecs: by index into Architecture::linears. The model, codecs and set must outlive this. The embedding, where it
  /// has a codec, is rounded to nearest under `embedding_importance` (cols values or empty) before anything else: it is
  /// looked up, and its inputs as a head come last. spill_folder: where hidden states lie; empty: in memory. It changes
  /// no byte of the result.
  Rounding(const model::Model& model, const std::vector<const codec::Codec*>& codecs,
           const importance::CalibrationSet& set, const RoundingOptions& options,
           std::span<const float> embedding_importance = {}, const std::filesystem::path& spill_folder = {},
           Listener listener = {});

  /// The linears of the first `blocks` blocks are chosen already, by an earlier run: `stored` gives them. Hidden states
  /// behind them are computed from them again, which is exact. To be called before the first linear().
  void go_on(std::size_t blocks, std::function<codec::Stored(std::size_t)> stored);

  /// The stored linear of an index whose codec has codes, valid until a linear of a later block is asked for. Linears
  /// are asked for in rising order of their blocks, lm_head last; the block is rounded at the first of them. Throws
  /// Error naming the linear, and Interrupted after Ctrl-C.
  const codec::Stored& linear(std::size_t index);

  /// Of all linears that are rounded so far, codecs without codes left out.
  const std::vector<RoundedLinear>& results() const { return results_; }
  /// Of all blocks that are tuned so far.
  const std::vector<BlockLoss>& tuned() const { return tuned_; }

 private:
  void round_block(std::size_t block);
  void replay_block(std::size_t block);
  void round_head(std::size_t index);
  void round_embedding(std::span<const float> importance);
  /// The inputs of a site over the set.
  struct Inputs {
    quantize::Hessian hessian;
    std::optional<quantize::Drift> drift;
  };
  void round(std::span<const std::size_t> linears, const Inputs& inputs,
             std::optional<std::size_t> routed = std::nullopt);
  void round_experts(std::size_t block);
  std::vector<std::size_t> count_routed(std::size_t block);
  /// Of the inputs at a site of experts [first, end).
  std::vector<quantize::Hessian> collect_experts(std::size_t block, engine::Site site, std::size_t first,
                                                 std::size_t end, const std::vector<std::size_t>& routed);
  /// At a site, `size` wide.
  Inputs collect(std::size_t block, engine::Site site, std::size_t size);
  void add_drift(std::size_t block, engine::Site site, const float* rows, std::size_t tokens, quantize::Drift& drift);
  void tune(std::size_t block);
  /// Runs a half of a block for all sequences, up to a site of it, or to its end with block_out.
  void run(std::size_t block, engine::Half half, const engine::Observer* observer, engine::Site last);
  /// Runs the end of a half for the batch at hand, whose rows before o or down are kept.
  void finish(std::size_t block, engine::Half half, std::size_t sequences, float* states);
  void check_finite(std::span<const float> states, std::size_t block) const;

  const model::Model& model_;
  const std::vector<const codec::Codec*>& codecs_;
  const importance::CalibrationSet& set_;
  RoundingOptions options_;
  engine::Engine engine_;
  TensorScales scales_;
  std::size_t together_;  ///< sequences of a batch
  engine::Batch full_, rest_;
  engine::HiddenStates states_;          ///< before block next_, or within it between its halves
  SiteRows rows_;                        ///< of the half whose linears are rounded
  const float* batch_states_ = nullptr;  ///< of the batch that runs, and its first sequence
  std::size_t batch_first_ = 0;
  std::optional<OriginalStream> original_;                    ///< beside states_, for the correction and for tuning
  std::optional<engine::HiddenStates> inputs_;                ///< of the block that will be tuned
  std::map<std::size_t, quantize::LearnedRounding> learned_;  ///< of the block at hand
  std::size_t next_ = 0;
  std::size_t chosen_ = 0;  ///< blocks that an earlier run has rounded
  std::function<codec::Stored(std::size_t)> chosen_linear_;
  codec::Stored embedding_;
  std::map<std::size_t, codec::Stored> stored_;  ///< of block next_ - 1, or lm_head's
  engine::Replacing replacing_;                  ///< puts stored_ and embedding_ into the engine
  std::vector<RoundedLinear> results_;
  std::vector<BlockLoss> tuned_;
  Listener listener_;
  Progress progress_;
};

}  // namespace strata::pipeline
