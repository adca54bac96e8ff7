// Bytes are made on the caller's thread and written on another.
// A note is made on the writing thread, so that it comes after the bytes that it tells of.
#include "pipeline/output/part_writer.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "core/error.h"
#include "model/architecture.h"

namespace strata::pipeline {

PartWriter::PartWriter(const std::filesystem::path& path, const PartLayout& layout, StoredParts* parts,
                       Background& disk)
    : name_(path.filename().string()), layout_(&layout), parts_(parts), disk_(&disk) {
  if (parts == nullptr) {
    file_ = std::make_shared<OutputFile>(path);
  } else {
    kept_ = parts->of(name_);
    STRATA_CHECK(kept_.bytes == 0 || kept_.bytes == offset(kept_.tensors), "{}: {} bytes of {} tensors", name_,
                 kept_.bytes, kept_.tensors);
    file_ = std::make_shared<OutputFile>(path, kept_.bytes);
  }
  if (kept_.bytes == 0) post(layout.header.size(), [&layout](OutputFile& file) { file.write(layout.header); });
}

void PartWriter::write(const Fill& fill, Progress* progress) {
  for (std::size_t t = kept_.tensors; t < layout_->tensors.size(); ++t) {
    const PartTensor& tensor = layout_->tensors[t];
    if (progress != nullptr) progress->note(tensor.name);
    fill(t, *this);
    end_tensor(t);
    if (parts_ != nullptr && ends_block(t) && parts_->due()) note(t + 1);
    if (progress != nullptr) progress->advance(static_cast<std::size_t>(tensor.bytes >> 10));
  }
}

void PartWriter::post(std::size_t size, std::function<void(OutputFile&)> append) {
  disk_->post(size, [file = file_, append = std::move(append)] { append(*file); });
}

void PartWriter::post(std::vector<std::byte> bytes) {
  const std::size_t size = bytes.size();
  post(size, [bytes = std::move(bytes)](OutputFile& file) { file.write(bytes); });
}

void PartWriter::commit() {
  post(0, [layout = layout_](OutputFile& file) {
    STRATA_CHECK(file.size() == layout->bytes, "{} of {} bytes", file.size(), layout->bytes);
    file.commit();
  });
}

/// Where a tensor begins, or the file ends.
std::uint64_t PartWriter::offset(std::size_t tensor) const {
  STRATA_CHECK(tensor <= layout_->tensors.size(), "{}: {} tensors", name_, tensor);
  return tensor < layout_->tensors.size() ? layout_->tensors[tensor].offset : layout_->bytes;
}

/// What belongs to no block ends one, so that a long file of such tensors is noted too.
bool PartWriter::ends_block(std::size_t tensor) const {
  const std::vector<PartTensor>& tensors = layout_->tensors;
  const std::size_t block = tensors[tensor].block;
  return tensor + 1 == tensors.size() || block == model::kNoBlock || block != tensors[tensor + 1].block;
}

/// Fills the gap to the next tensor.
void PartWriter::end_tensor(std::size_t tensor) {
  const PartTensor& written = layout_->tensors[tensor];
  post(0,
       [end = written.offset + written.bytes, next = offset(tensor + 1), layout = layout_, tensor](OutputFile& file) {
         STRATA_CHECK(file.size() == end, "{} ends at byte {}, not {}", layout->tensors[tensor].name, file.size(), end);
         if (next > end) file.write(std::string(next - end, '\0'));
       });
}

void PartWriter::note(std::size_t tensors) {
  post(0, [name = name_, tensors, parts = parts_, news = parts_->news()](OutputFile& file) {
    file.sync();
    parts->note(name, {tensors, file.size()}, news);
  });
}

void write_parts(const std::vector<PartFile>& files, const PartOptions& options,
                 const std::function<void(std::size_t, std::size_t, PartWriter&)>& fill) {
  std::optional<Progress> progress;
  if (options.shows_progress) {
    const auto bytes = std::accumulate(files.begin(), files.end(), std::uint64_t{0},
                                       [](auto sum, const PartFile& file) { return sum + file.layout->bytes; });
    progress.emplace("writing", static_cast<std::size_t>(bytes >> 10));
  }
  Background disk(kUnwrittenBytes);
  std::vector<PartWriter> written;
  for (std::size_t f = 0; f < files.size(); ++f) {
    std::error_code code;
    // A file has its own name only when it is complete: it is renamed after its last byte was synced.
    if (options.parts != nullptr && std::filesystem::exists(files[f].path, code)) continue;
    PartWriter& writer = written.emplace_back(files[f].path, *files[f].layout, options.parts, disk);
    writer.write([&](std::size_t tensor, PartWriter& to) { fill(f, tensor, to); }, progress ? &*progress : nullptr);
    if (options.commit == Commit::first_last) continue;
    writer.commit();
    written.pop_back();
  }
  for (std::size_t f = written.size(); f-- > 0;) written[f].commit();
  disk.finish();
}

}  // namespace strata::pipeline
