// Calibrated rounding of a whole model, block by block: every linear sees the inputs that the already rounded part of
// the model gives it. Memory: one block's Hessians and stored linears, and the calibration set's hidden states. Ranks
// share the set, and make the same bytes (docs/cluster.md).
#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/progress.h"
#include "engine/hidden_states.h"
#include "engine/modes.h"
#include "engine/side_states.h"
#include "importance/calibration.h"
#include "pipeline/output/tensor_scales.h"
#include "pipeline/round/calibration_parts.h"
#include "pipeline/round/kept_rows.h"
#include "pipeline/round/options.h"
#include "pipeline/round/original_stream.h"
#include "pipeline/round/rounded_linear.h"
#include "quantize/drift.h"
#include "quantize/gptq.h"

namespace strata::pipeline {

/// Of products with the rows of the calibration text.
inline constexpr kernel::Precision kRoundingPrecision = kernel::Precision::bf16;

class Rounding {
 public:
  /// Returns the number of sequences in a batch, which keeps the engine's buffers within 256 MiB. It decides how sums
  /// are cut, and so which bytes are written: it must depend on the model and the set alone.
  static std::size_t sequences_together(const model::Architecture& architecture, std::size_t sequences,
                                        std::size_t seq_len);
  /// Returns the bytes of memory that RoundingSetup::keep_rows takes.
  static std::uint64_t kept_rows_bytes(const model::Architecture& architecture, std::size_t tokens);
  /// Returns how many numbers the engine holds for each token of a batch.
  static std::size_t floats_per_token(const model::Architecture& architecture);

  /// `codecs` has an entry for each of Architecture::linears. The model, codecs and set must outlive this object. The
  /// constructor rounds an embedding that has a codec to nearest: the first block reads what is looked up in it, and
  /// its inputs as a head are known last.
  Rounding(const model::Model& model, const std::vector<const codec::Codec*>& codecs,
           const importance::CalibrationSet& set, const RoundingOptions& options, const RoundingSetup& setup = {});

  /// Takes the linears of the first `blocks` blocks from an earlier run: `stored` returns the linear of an index. The
  /// hidden states after these blocks are computed from them again, which is exact. Call it before the first linear().
  void resume(std::size_t blocks, std::function<codec::Stored(std::size_t)> stored);

  /// Returns the stored linear of an index, whose codec must have codes. It is valid until a linear of a later block is
  /// asked for. Ask for linears in rising order of their blocks, and for lm_head last: the first one of a block has the
  /// whole block rounded. Throws Error naming the linear, and Interrupted after Ctrl-C. Of several ranks the first one
  /// asks, and calls end() when it has asked for all; the others help until then.
  const codec::Stored& linear(std::size_t index);
  void help();
  void end();

  /// The results of all linears rounded so far, without those whose codec has no codes.
  const std::vector<RoundedLinear>& results() const { return results_; }
  /// The losses of all blocks tuned so far.
  const std::vector<BlockLoss>& tuned() const { return tuned_; }

 private:
  void take_step(std::size_t index);
  void begin_block();
  void round_block(std::size_t block);
  void replay_block(std::size_t block);
  void round_head(std::size_t index);
  void round_embedding();
  struct Inputs {  ///< what rounding needs to know of those at a site, summed over the set
    quantize::Hessian hessian;
    std::optional<quantize::Drift> drift;
  };
  /// Rounds linears of the same inputs; `ranks`, which may be this one alone, share their rows.
  void round(std::span<const std::size_t> linears, const Inputs& inputs, const Ranks& ranks,
             std::optional<std::size_t> routed = std::nullopt);
  struct Factors {  ///< of the inputs, made with the first linear that needs them
    std::optional<quantize::Feedback> feedback, correction;
  };
  void round_linear(std::size_t l, const Inputs& inputs, const Ranks& ranks, std::optional<std::size_t> routed,
                    Factors& factors);
  /// Every rank gets the stored linear that one rank has; and its result.
  void share_stored(std::size_t l, std::size_t from);
  void share_rounded(std::size_t l, std::size_t from);
  /// Whether the source holds a linear in the codec that it gets, so that nothing is rounded.
  bool is_in_source(std::size_t l) const { return model_.source_codec(l) == codecs_[l]; }
  bool must_round(std::size_t l) const { return codecs_[l]->has_codes() && !is_in_source(l); }
  void take_from_source(std::size_t l);
  /// Returns the index behind the experts' linears.
  std::size_t round_experts(std::size_t block);
  std::vector<std::size_t> count_routed(std::size_t block);
  /// Returns the Hessians of the inputs at a site, one for each of the experts [first, end) that this rank rounds.
  std::vector<quantize::Hessian> collect_experts(std::size_t block, engine::Site site, std::size_t first,
                                                 std::size_t end, const std::vector<std::size_t>& routed);
  std::size_t rank_of_expert(std::size_t expert) const { return expert % setup_.ranks.size(); }
  /// Rounds these roles of the experts [first, end), each expert on its rank, and shares them.
  void round_expert_roles(std::size_t block, std::span<const model::Role> roles, std::size_t first, std::size_t end,
                          std::span<const quantize::Hessian> hessians, std::span<const std::size_t> routed);
  /// Sums the inputs at a site, which are `size` numbers wide.
  Inputs collect(std::size_t block, engine::Site site, std::size_t size);
  void negate_bias(const model::Linear& linear);
  void add_drift(std::size_t block, engine::Site site, const float* rows, std::size_t tokens, quantize::Drift::Of of,
                 quantize::CrossMoment& moment);
  void tune(std::size_t block);
  /// Runs a half of a block for all sequences up to a site, or to its end when that is block_out.
  void run(std::size_t block, engine::Half half, const engine::Observer* observer, engine::Site last);
  /// Completes a half for the batch that is running, from the kept rows that its o or down reads.
  void finish(std::size_t block, engine::Half half, std::size_t sequences, float* states);
  void check_finite(std::span<const float> states, std::size_t block) const;

  const model::Model& model_;
  const std::vector<const codec::Codec*>& codecs_;
  RoundingOptions options_;
  quantize::GptqOptions gptq_;  ///< the options of gptq with their damping decided
  RoundingSetup setup_;
  engine::Engine engine_;
  TensorScales scales_;
  std::size_t together_;  ///< sequences of a batch
  CalibrationParts parts_;
  importance::CalibrationSet set_;  ///< this rank's share of the sequences
  engine::Batch full_, rest_;
  engine::HiddenStates states_;          ///< the rounded model's, before block next_ or between its halves
  engine::SideStates side_;              ///< what blocks read beside states_
  SiteRows rows_;                        ///< inputs of o or down in the half that is being rounded
  const float* batch_states_ = nullptr;  ///< states of the running batch; batch_first_ is its first sequence
  std::size_t batch_first_ = 0;
  std::vector<float> finished_;                 ///< a batch's rows from rows_
  std::vector<float> differences_;              ///< of a batch's streams
  std::vector<float> minus_bias_;               ///< of the linear whose output's drift is summed; empty without a bias
  std::optional<OriginalStream> original_;      ///< made for the correction and for tuning only
  std::optional<engine::HiddenStates> inputs_;  ///< before the block, where it is tuned or reads them twice
  std::map<std::size_t, quantize::LearnedRounding> learned_;  ///< linears of the current block that tuning may change
  std::size_t next_ = 0;
  std::size_t chosen_ = 0;  ///< blocks that an earlier run has rounded
  std::function<codec::Stored(std::size_t)> chosen_linear_;
  codec::Stored embedding_;
  std::map<std::size_t, codec::Stored> stored_;  ///< linears of block next_ - 1, or lm_head
  engine::Replacing replacing_;                  ///< puts stored_ and embedding_ into the engine
  std::vector<RoundedLinear> results_;
  std::vector<BlockLoss> tuned_;
  Progress progress_;
};

}  // namespace strata::pipeline
