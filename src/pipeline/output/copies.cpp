// Copies go from the mapped source to the output in pieces, whose pages are given back.
#include "pipeline/output/copies.h"

#include <algorithm>

#include "core/file.h"
#include "model/carried.h"
#include "model/gguf/check.h"
#include "model/gguf/names.h"

namespace strata::pipeline {
namespace {

constexpr std::size_t kPiece = 4u << 20;

template <class Take>
void in_pieces(std::span<const std::byte> bytes, const Take& take) {
  for (std::size_t at = 0; at < bytes.size(); at += kPiece)
    take(bytes.subspan(at, std::min(kPiece, bytes.size() - at)));
}

}  // namespace

void copy_tensor(const model::Model& model, const std::string& name, PartWriter& writer) {
  in_pieces(model.raw(name), [&](std::span<const std::byte> piece) {
    writer.post(piece.size(), [piece](OutputFile& file) {
      file.write(piece);
      MappedFile::drop(piece);
    });
  });
}

void copy_companion(const model::Companion& companion, const std::filesystem::path& path) {
  std::error_code code;
  std::filesystem::create_directories(path.parent_path(), code);
  if (code) fail("{}: cannot be created: {}", path.parent_path().string(), code.message());
  if (companion.file.empty()) return write_text_file(path, companion.text);
  const MappedFile source(companion.file);
  if (source.bytes().size() != companion.bytes)
    fail("{}: has changed since the output was planned; start the job again", companion.file.string());
  OutputFile file(path);
  in_pieces(source.bytes(), [&](std::span<const std::byte> piece) {
    file.write(piece);
    MappedFile::drop(piece);
  });
  file.commit();
}

std::string carried_note(const model::Model& model, const Target& target) {
  const bool gguf = target.container == codec::Container::gguf, mlx = target.container == codec::Container::mlx;
  const auto is_left_out = [&](const model::TensorInfo& tensor) {
    return !gguf || !model::gguf_carried_name(model.architecture(), tensor.name);
  };
  const std::string parts = model::describe_carried(model::carried_parts(model, is_left_out));
  std::vector<std::string> notes;
  if (!parts.empty() && gguf)
    notes.push_back(fmt::format(
        "note: a GGUF file holds the text model alone; left out: {}. llama.cpp's own converter makes the file of a "
        "vision tower (mmproj) from the original",
        parts));
  if (!parts.empty() && mlx)
    notes.push_back(fmt::format("note: mlx_lm loads the text model alone; left out: {}", parts));
  if (!parts.empty() && !gguf && !mlx)
    notes.push_back(fmt::format("note: carried over byte for byte, neither run nor measured: {}", parts));
  if (const std::size_t window = gguf ? model::window_left_out(model.architecture()) : 0; window != 0)
    notes.push_back(fmt::format(
        "note: the model's sliding window of {0} tokens is left out, as llama.cpp runs this family without one; "
        "contexts of up to {0} tokens are the same",
        window));
  return fmt::format("{}", fmt::join(notes, "\n"));
}

}  // namespace strata::pipeline
