// The unfinished work of a long job: a folder `.NAME.part` beside its output NAME, with a journal of finished units,
// the files of finished stages, and the unfinished result. A job that was killed at any moment is resumed from it.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/journal.h"

namespace strata {

class JobFolder {
 public:
  /// Begins the job that `job` describes, or resumes it. `restart` drops unfinished work first. Throws Error when the
  /// output exists (unless `overwrite`) or cannot be one (check_new_output in core/file.h), when the folder holds work
  /// of another job (saying what differs), and when another process works in it. `existing`: the path to look for an
  /// existing output at, where that is not `output` itself (a model that is split over several files).
  JobFolder(std::filesystem::path output, const json& job, bool overwrite, bool restart,
            const std::filesystem::path& existing = {});
  /// Removes the folder when no unit was finished; else leaves it for the next run.
  ~JobFolder();
  JobFolder(const JobFolder&) = delete;
  JobFolder& operator=(const JobFolder&) = delete;

  /// The description of the unfinished job of this output; null when there is none.
  static json unfinished(const std::filesystem::path& output);

  const std::filesystem::path& path() const { return folder_; }
  /// The path of a stage's file. Write it atomically (write_text_file), as a resumed job uses it when it exists.
  std::filesystem::path file(const std::string& name) const { return folder_ / name; }
  bool has(const std::string& name) const;
  /// The path to make the result at: a file or folder of the output's name. The files of a result that has several
  /// lie beside this path.
  std::filesystem::path result() const;
  /// Call it before the result is made: throws Error when one of these names of the result is taken already.
  void refuse_taken(const std::vector<std::filesystem::path>& names, bool are_files) const;

  /// The finished units of earlier runs and of this one.
  const std::vector<json>& finished() const { return finished_; }
  void append(const json& unit);

  /// True when the whole result was made, by this run or an earlier one; publish() may still have files to rename.
  bool complete() const { return !complete_names().empty(); }
  /// Call it when the result is complete: renames its files or its folder to their places beside the job's folder, the
  /// last one first, and leaves those that an earlier run has renamed already.
  void publish(const std::vector<std::filesystem::path>& names);
  /// Removes the folder with all that is in it.
  void remove();

 private:
  void open(const json& job);

  std::filesystem::path beside(const std::filesystem::path& name) const { return folder_.parent_path() / name; }
  /// The names of a complete result; empty before that.
  std::vector<std::filesystem::path> complete_names() const;

  std::filesystem::path output_, folder_;
  bool overwrite_;
  std::optional<Journal> journal_;
  std::vector<json> finished_;
};

}  // namespace strata
