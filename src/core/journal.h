// The journal of a long job: one line of JSON for every finished unit, synced as it is written, so that a job that was
// killed can be resumed. A last line that the kill has cut off is not counted.
#pragma once
#include <filesystem>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace strata {

/// Seconds between two notes of what unfinished work has on disk: 2, or those of the environment variable
/// STRATA_NOTE_SECONDS. Tests that kill the program set it to 0, for a note at the end of every block. Throws Error for
/// a value that is no number of seconds.
double seconds_between_notes();

class Journal {
 public:
  /// Opens the journal of the job that `job` describes, or begins one. Throws Error when the file is another job's
  /// (naming what differs and what to do; `drop` is how its work is dropped), when it is no journal, and when another
  /// process has it open.
  Journal(std::filesystem::path path, const json& job, std::string_view drop = "delete the file");
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// Units that were finished when the journal was opened, in their order.
  const std::vector<json>& finished() const { return finished_; }
  /// Throws Error (disk full, ...) naming the path.
  void append(const json& unit);
  /// The job whose journal this file is; null when there is none, or none that can be read.
  static json job_of(const std::filesystem::path& path);
  /// Throws Error when another process has the journal open.
  static void refuse_busy(const std::filesystem::path& path);
  /// Removes the file, if there is one. Call it when the job's result is safe.
  static void remove(const std::filesystem::path& path);

 private:
  void read(const std::string& text, const json& job, std::string_view drop);

  std::filesystem::path path_;
  std::vector<json> finished_;
  int descriptor_ = -1;
};

}  // namespace strata
