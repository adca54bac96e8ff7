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

class KeptPass {
 public:
  /// Hands the whole state of the pass to a snapshot, which writes or reads it.
  using State = std::function<void(Snapshot&)>;

  /// file: where the state is kept; nothing is kept when it is empty. job: what the state depends on.
  KeptPass(std::filesystem::path file, const json& job, State state);

  /// Reads the state. Returns false, and leaves it as it is, when there is no file or when that is of another job; the
  /// next keep() replaces it. Throws Error for a file that is damaged.
  bool read() const;
  /// Writes the state, atomically. Throws Error (disk full, ...) naming the file.
  void keep();
  /// Does so once the seconds between two notes have passed (core/journal.h), and ten times as many for each second
  /// that the last writing took.
  void keep_if_due();

 private:
  using Clock = std::chrono::steady_clock;

  std::filesystem::path file_;
  std::string job_;  ///< the first line of the file
  State state_;
  double pause_;  ///< seconds between two notes
  Clock::time_point kept_ = Clock::now();
  double took_ = 0.0;  ///< seconds of the last keep()
};

/// What every pass depends on: its kind, the model, the text, and how products are computed. A KeptPass's job begins
/// with it.
json pass_job(std::string_view kind, const engine::Engine& engine, const CalibrationSet& set);

}  // namespace strata::importance
