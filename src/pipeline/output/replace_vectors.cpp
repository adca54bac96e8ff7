// Files are copied from their maps, stretch by stretch, with the replaced tensors' bytes in their places.
#include "pipeline/output/replace_vectors.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "core/error.h"
#include "core/file.h"
#include "core/interrupt.h"
#include "core/matrix.h"
#include "format/gguf.h"
#include "format/safetensors.h"
#include "model/gguf/names.h"

namespace strata::pipeline {
namespace {

using Vectors = std::map<std::string, std::vector<float>>;

constexpr std::size_t kStretch = 8u << 20;

/// Bytes to replace, by the offset in the file at which they begin.
using Patches = std::map<std::size_t, std::vector<std::byte>>;

std::vector<std::byte> encoded(const std::vector<float>& values, DType type, const std::string& where) {
  if (type != DType::f32 && type != DType::bf16 && type != DType::f16)
    fail("{}: is not of a floating-point type", where);
  for (const float value : values)
    if (!std::isfinite(value) || (type == DType::f16 && std::fabs(value) >= 65520.0f))
      fail("{}: {} cannot be stored", where, value);
  std::vector<std::byte> out(values.size() * dtype_bytes(type));
  narrow_row(values, type, out.data());
  return out;
}

/// The patch of one tensor, whose bytes in the file are `data`.
void add(Patches& patches, const MappedFile& file, std::span<const std::byte> data, const std::vector<float>& values,
         DType type, const std::string& name) {
  const std::string where = fmt::format("{}: {}", file.path().string(), name);
  std::vector<std::byte> bytes = encoded(values, type, where);
  if (bytes.size() != data.size()) fail("{}: has {} bytes, not {}", where, data.size(), bytes.size());
  patches[static_cast<std::size_t>(data.data() - file.bytes().data())] = std::move(bytes);
}

void copy(const MappedFile& from, const Patches& patches, const std::filesystem::path& to) {
  OutputFile out(to);
  const std::span<const std::byte> bytes = from.bytes();
  const auto plain = [&](std::size_t begin, std::size_t end) {
    for (; begin < end; begin += kStretch) {
      check_interrupt();
      const std::span<const std::byte> part = bytes.subspan(begin, std::min(kStretch, end - begin));
      out.write(part);
      MappedFile::drop(part);
    }
  };
  std::size_t at = 0;
  for (const auto& [begin, replacement] : patches) {
    plain(at, begin);
    out.write(replacement);
    at = begin + replacement.size();
  }
  plain(at, bytes.size());
  out.commit();
}

void refuse_missing(const model::Model& checkpoint, const Vectors& vectors, std::size_t found) {
  STRATA_CHECK(found <= vectors.size());
  if (found == vectors.size()) return;
  for (const auto& [name, values] : vectors)
    if (!checkpoint.has(name)) fail("{}: has no {}", checkpoint.path().string(), name);
  fail("{}: is split over several files; write it as one", checkpoint.path().string());
}

std::uint64_t replace_in_gguf(const model::Model& checkpoint, const Vectors& vectors,
                              const std::filesystem::path& output, bool overwrite) {
  check_new_output(output, overwrite);
  const MappedFile file(checkpoint.path());
  const format::GgufContent content = format::parse_gguf(file.bytes(), checkpoint.path().string());
  Patches patches;
  for (const format::GgufTensor& tensor : content.tensors) {
    const std::optional<std::string> name = model::hf_tensor_name(checkpoint.architecture().names, tensor.name,
                                                                  model::gguf_family_of(checkpoint.architecture()));
    const auto it = name ? vectors.find(*name) : vectors.end();
    if (it == vectors.end()) continue;
    const std::optional<DType> type = format::ggml_dense_type(tensor.type);
    if (!type) fail("{}: {}: is not of a floating-point type", file.path().string(), tensor.name);
    std::vector<float> values = it->second;
    if (model::holds_norm_offset(tensor.name))
      for (float& value : values) value += checkpoint.architecture().norm_offset;
    add(patches, file, tensor.data, values, *type, tensor.name);
  }
  refuse_missing(checkpoint, vectors, patches.size());
  copy(file, patches, output);
  return file.bytes().size();
}

std::uint64_t replace_in_folder(const model::Model& checkpoint, const Vectors& vectors,
                                const std::filesystem::path& output, bool overwrite) {
  OutputDirectory folder(output, overwrite);
  std::uint64_t bytes = 0;
  std::size_t found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(checkpoint.path())) {
    if (!entry.is_regular_file()) continue;
    const MappedFile file(entry.path());
    Patches patches;
    if (entry.path().extension() == ".safetensors")
      for (const format::TensorView& tensor : format::parse_safetensors(file.bytes(), entry.path().string()))
        if (const auto it = vectors.find(tensor.name); it != vectors.end())
          add(patches, file, tensor.data, it->second, tensor.dtype, tensor.name);
    copy(file, patches, folder.path() / entry.path().filename());
    bytes += file.bytes().size();
    found += patches.size();
  }
  refuse_missing(checkpoint, vectors, found);
  folder.commit();
  return bytes;
}

}  // namespace

std::uint64_t replace_vectors(const model::Model& checkpoint, const Vectors& vectors,
                              const std::filesystem::path& output, bool overwrite) {
  return checkpoint.from_gguf() ? replace_in_gguf(checkpoint, vectors, output, overwrite)
                                : replace_in_folder(checkpoint, vectors, output, overwrite);
}

}  // namespace strata::pipeline
