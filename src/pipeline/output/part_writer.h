// Writes the files of an output from their layouts. This is the one place that knows what order makes a file safe:
// bytes, sync, note in the job's journal; at the end sync, rename.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/background.h"
#include "core/file.h"
#include "core/progress.h"
#include "pipeline/output/stored_parts.h"

namespace strata::pipeline {

/// Encoded bytes that wait for the disk, at most.
inline constexpr std::size_t kUnwrittenBytes = 16u << 20;

/// A tensor of a file: the bytes [offset, offset + bytes).
struct PartTensor {
  std::string name;
  std::uint64_t offset, bytes;
  std::size_t block;  ///< the block of the linear that it holds, or kNoBlock
};
/// A file that is to be written: its header, then its tensors in order. Gaps after tensors are zeros.
struct PartLayout {
  std::string header;
  std::vector<PartTensor> tensors;
  std::uint64_t bytes = 0;  ///< of the whole file
};

class PartWriter {
 public:
  /// Posts the bytes of tensor `index` of the file to the writer.
  using Fill = std::function<void(std::size_t index, PartWriter& writer)>;

  /// Opens the file. With `parts` it is resumable, and begins after the tensors that are noted there; nullptr: an
  /// unfinished file goes away with the writer. The layout and `parts` must live until `disk` has finished.
  PartWriter(const std::filesystem::path& path, const PartLayout& layout, StoredParts* parts, Background& disk);

  /// Writes the tensors that are not on disk yet, and notes them at ends of blocks when a note is due.
  void write(const Fill& fill, Progress* progress);
  /// Appends to the tensor at hand. `append` runs on the disk's thread and writes `size` bytes.
  void post(std::size_t size, std::function<void(OutputFile&)> append);
  void post(std::vector<std::byte> bytes);
  /// Syncs and renames the file after the last byte.
  void commit();

 private:
  std::uint64_t offset(std::size_t tensor) const;
  bool ends_block(std::size_t tensor) const;
  void end_tensor(std::size_t tensor);
  void note(std::size_t tensors);

  std::string name_;
  const PartLayout* layout_;
  StoredParts* parts_;
  Background* disk_;
  StoredPart kept_;
  std::shared_ptr<OutputFile> file_;
};

/// When the files of an output get their names.
enum class Commit {
  each,        ///< each file when it is written
  first_last,  ///< all files when all are written; the first, which names the others, comes last
};

struct PartFile {
  std::filesystem::path path;
  const PartLayout* layout;
};
struct PartOptions {
  StoredParts* parts = nullptr;  ///< of a resumable job: a file that exists under its name is complete and is left out
  Commit commit = Commit::each;
  bool shows_progress = true;
};
/// Writes all files; `fill` gets the index of the file too. Returns when everything is on disk. Throws Error for a full
/// disk and what `fill` throws.
void write_parts(const std::vector<PartFile>& files, const PartOptions& options,
                 const std::function<void(std::size_t file, std::size_t tensor, PartWriter& writer)>& fill);

}  // namespace strata::pipeline
