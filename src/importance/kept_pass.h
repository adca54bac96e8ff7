// A pass over the calibration set that outlives the program: its state is kept in a file from time to time and at its
// end, so that a run that was stopped need not make it again.
#pragma once
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>

#include "core/json.h"
#include "importance/pass.h"
#include "importance/snapshot.h"

namespace strata::importance {

/// Ranks that share the sequences of a set. The first one keeps the state of all; what was gathered, all have.
struct SequenceSharing {
  Ranks ranks{};
  std::size_t sequences = 0;
};

class KeptPass {
 public:
  /// Hands what the pass has gathered to a snapshot, which writes or reads it.
  using State = std::function<void(Snapshot&)>;

  /// file: where the state is kept; nothing is kept when it is empty. job: what the state depends on. All ranks make
  /// the calls below, with the first one's file.
  KeptPass(std::filesystem::path file, const json& job, PassState& pass, State state, SequenceSharing sharing = {});

  /// Reads the state. Returns false, and leaves it as it is, when there is no file or when that is of another job; the
  /// next keep() replaces it. Throws Error for a file that is damaged.
  bool read();
  /// Writes the state, atomically. Throws Error (disk full, ...) naming the file.
  void keep();
  /// Does so once the seconds between two notes have passed (core/journal.h), and ten times as many for each second
  /// that the last writing took.
  void keep_if_due();

 private:
  using Clock = std::chrono::steady_clock;

  void visit(Snapshot& snapshot) {
    snapshot(pass_.blocks);
    snapshot(pass_.hidden);
    snapshot(pass_.shared);
    state_(snapshot);
  }
  void write();
  /// The hidden states are those of this rank's sequences again.
  void cut_to_share(std::vector<float>& states) const;

  std::filesystem::path file_;
  std::string job_;  ///< the first line of the file
  PassState& pass_;
  State state_;
  SequenceSharing sharing_;
  double pause_;  ///< seconds between two notes
  Clock::time_point kept_ = Clock::now();
  double took_ = 0.0;  ///< seconds of the last keep()
};

/// The file that keeps the pass whose measurements are in a journal; none without a journal.
std::filesystem::path pass_of(const std::filesystem::path& journal);

/// What every pass depends on: its kind, the model, the text, and how products are computed. A KeptPass's job begins
/// with it.
json pass_job(std::string_view kind, const engine::Engine& engine, const CalibrationSet& set);

}  // namespace strata::importance
