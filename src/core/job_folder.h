// The unfinished work of a long job: a folder `.NAME.part` beside its output NAME, with a journal of finished units,
// the files of finished stages, and the result as far as it is. Killed at any moment, the job goes on from there.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/journal.h"

namespace strata {

class JobFolder {
 public:
  /// Begins the job that `job` describes, or goes on with it. `restart` drops unfinished work first. Throws Error when
  /// the output exists (unless `overwrite`) or cannot be one (core/file.h, part_folder), when the folder holds work of
  /// another job (saying what differs), and when another process works in it. `existing`: the path by which the output
  /// exists, where that is not its own (a model that is split over several files).
  JobFolder(std::filesystem::path output, const json& job, bool overwrite, bool restart,
            const std::filesystem::path& existing = {});
  /// Leaves the folder when any unit was finished; else nothing is left behind.
  ~JobFolder();
  JobFolder(const JobFolder&) = delete;
  JobFolder& operator=(const JobFolder&) = delete;

  const std::filesystem::path& path() const { return folder_; }
  /// A stage's file. Write it atomically (write_text_file): it is used when it is there.
  std::filesystem::path file(const std::string& name) const { return folder_ / name; }
  bool has(const std::string& name) const;
  /// Where the result is made: a file or folder of the output's name. A result of several files has them beside this.
  std::filesystem::path result() const;
  /// Before the result is made: throws Error when one of its files or folders, by name, is taken already.
  void refuse_taken(const std::vector<std::filesystem::path>& names, bool are_files) const;

  /// Units of earlier runs, and of this one.
  const std::vector<json>& finished() const { return finished_; }
  void append(const json& unit);

  /// True when nothing of the result is left to be made, by this run or one before; publish() may have some to rename.
  bool complete() const { return !complete_names().empty(); }
  /// The result is complete: renames its files or its folder to their places beside the work, the last one first, those
  /// that are not there yet.
  void publish(const std::vector<std::filesystem::path>& names);
  /// Nothing of the job is wanted any more.
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
