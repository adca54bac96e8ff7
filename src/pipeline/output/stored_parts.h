// How much of an output's files is on disk: what the writers note in a job's journal, where the next run goes on, and
// the linears that are stored already, read back.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/job_folder.h"
#include "pipeline/output/checkpoint.h"

namespace strata::pipeline {

/// The first `tensors` tensors of a file are its first `bytes` bytes.
struct StoredPart {
  std::uint64_t tensors = 0, bytes = 0;
};

/// Reads and writes the journal's lines {"file", "tensors", "bytes", "linears"}.
class StoredParts {
 public:
  explicit StoredParts(JobFolder& job);

  StoredPart of(const std::string& file) const;
  /// True, and the clock starts anew, when the next note is due: two seconds after the last (STRATA_NOTE_SECONDS
  /// overrides). Notes are made by another thread than this is asked from.
  bool due();
  /// After the file was synced. linears: what was found out since the last note, for the job's result.
  void note(const std::string& file, StoredPart part, json linears);
  /// All entries of `linears` in the journal, in their order.
  json linears() const;

 private:
  JobFolder& job_;
  double seconds_;
  std::map<std::string, StoredPart> parts_;
  std::chrono::steady_clock::time_point last_;
};

/// The linears that an unfinished output holds already.
struct StoredLinears {
  std::size_t blocks = 0;                            ///< of so many blocks all are stored
  std::function<codec::Stored(std::size_t)> linear;  ///< one of those with codes, by index into Architecture::linears
};
StoredLinears stored_linears(const model::Model& model, const Plan& plan, const Target& target,
                             std::uint64_t shard_bytes, JobFolder& job);

}  // namespace strata::pipeline
