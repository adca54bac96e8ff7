// How much of an output's files is on disk: what the writer notes in a job's journal, and where the next run resumes.
// Linears that are stored already are read back by Output::read.
#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/job_folder.h"
#include "pipeline/output/output.h"

namespace strata::pipeline {

/// The first `tensors` tensors of a file are its first `bytes` bytes.
struct StoredPart {
  std::uint64_t tensors = 0, bytes = 0;
};

/// Reads and writes the journal's lines {"file", "tensors", "bytes", "linears"}. The last line of a file counts.
class StoredParts {
 public:
  explicit StoredParts(JobFolder& job, double note_seconds = seconds_between_notes());

  StoredPart of(const std::string& file) const;
  /// True when the next note is due, and starts the clock anew. The thread that asks is not the one that notes.
  bool due();
  /// Notes that this much of the file was synced. linears: what news() returned when the last of these bytes was made.
  void note(const std::string& file, StoredPart part, json linears);

  /// Sets where news() gets what was found out about linears since it was asked last.
  void set_news(std::function<json()> news) { news_ = std::move(news); }
  json news() const { return news_ ? news_() : json(); }
  /// All entries of `linears` in the journal, in their order.
  json linears() const;

 private:
  JobFolder& job_;
  double seconds_;
  std::map<std::string, StoredPart> parts_;
  std::chrono::steady_clock::time_point last_;
  std::function<json()> news_;
};

/// Whether all parts of a linear are on disk, by index into Architecture::linears. path: where the output is being
/// made.
std::vector<bool> stored_linears(const Output& output, const model::Architecture& architecture,
                                 const std::filesystem::path& path, const StoredParts& parts);
/// Blocks before the first linear of which a part is not on disk.
std::size_t stored_blocks(const Output& output, const model::Architecture& architecture,
                          const std::filesystem::path& path, const StoredParts& parts);

/// Reads what lies at a place into `bytes`, from a file that is complete or not yet. Throws Error when it is too short.
void read_stored(const Place& place, std::span<std::byte> bytes);

}  // namespace strata::pipeline
