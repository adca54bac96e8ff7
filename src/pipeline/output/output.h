// What a run writes, known to the byte before it is written. Output is the one interface to all containers, as
// model::TensorSource is for reading; a container is one class that implements it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "codec/codec.h"
#include "core/dtype.h"
#include "model/model.h"
#include "pipeline/plan/target.h"

namespace strata::pipeline {

class LinearEncoder;
class StoredParts;

/// The codec of every linear, by index into Architecture::linears.
using Codecs = std::vector<const codec::Codec*>;

/// Where one part of a linear's stored form lies.
struct Place {
  std::filesystem::path file;  ///< its path when it is complete
  std::size_t tensor;          ///< index of the tensor among the file's tensors, in the order that they are written
  std::uint64_t offset;        ///< of the part's first byte in the file
};

/// The files of one model under one choice of codecs. It refers to the model, which must outlive it.
class Output {
 public:
  virtual ~Output() = default;

  /// The exact sum of the sizes of all files.
  virtual std::uint64_t bytes() const = 0;
  /// The same container for other codecs. It shares what does not depend on codecs, so that planning can ask for the
  /// sizes of many plans.
  virtual std::unique_ptr<Output> with(Codecs codecs) const = 0;

  /// True for a folder, false for one file or several side by side.
  virtual bool is_folder() const = 0;
  /// What exists after the output was written to `path`: the folder, or the files beside each other. A model is opened
  /// by the first of them.
  virtual std::vector<std::filesystem::path> names(const std::filesystem::path& path) const = 0;

  /// Where the parts of a linear lie in the output at `path`, in the order of Stored::parts. The parts of a linear
  /// without codes may be listed, but cannot be read back.
  virtual std::vector<Place> places(std::size_t linear, const std::filesystem::path& path) const = 0;
  /// Reads a linear with codes back from the output at `path`, whose files may still be unfinished. Throws Error when
  /// a file is too short for it.
  virtual codec::Stored read(std::size_t linear, const std::filesystem::path& path) const = 0;

  /// Writes the output to `path` in a job's folder, from where an earlier run of the job stopped. What was written
  /// stays when this is interrupted or throws Error (weights that are not finite, a full disk).
  virtual void write(LinearEncoder& encoder, const std::filesystem::path& path, StoredParts& parts) const = 0;
  /// Writes the output in one go: the complete output appears at `path`, or none does. Throws Error as write() does,
  /// and when something exists at `path` that may not be overwritten.
  virtual void write_whole(LinearEncoder& encoder, const std::filesystem::path& path, bool overwrite) const = 0;
};

/// The scales of an FP8 cache of keys and values, by block; empty where the output has none.
using CacheScales = std::vector<model::CacheScales>;

/// Numbers of an output that a calibration text gives; a layout needs no more than which there are.
struct MeasuredScales {
  CacheScales cache{};
  /// The fixed scale of what each linear reads, by index into Architecture::linears, where its codec has one
  /// (codec::Codec::has_input_scale). Empty: 1 for all.
  std::vector<float> inputs{};
};

/// Lays out the model in the container of `target`. shard_bytes: the most tensor bytes in a file (a larger tensor has a
/// file of its own); 0: one file. dense: type of the matrices without codes, bf16 unless nothing has codes and the
/// container is GGUF. scales: for a folder of Hugging Face's form whose linears have codes. Throws Error for what the
/// container cannot express.
std::unique_ptr<Output> plan_output(const model::Model& model, Codecs codecs, const Target& target,
                                    std::uint64_t shard_bytes, DType dense = DType::bf16, MeasuredScales scales = {});

/// Throws Error where the output would replace the model that it is made from.
void refuse_source(const model::Model& source, const std::filesystem::path& output);

/// The path by which an output of this name exists already: `output` itself, or the first file of a GGUF model that is
/// split over any number of files. When there is neither, it is `output`.
std::filesystem::path existing_output(const std::filesystem::path& output, const Target& target);

/// Removes what an earlier output of this name left beside the new one, which is `names`: parts of a GGUF model that
/// was split over another number of files, or its only file. What the model `source` is read from stays.
void remove_replaced(const std::filesystem::path& output, const Target& target,
                     const std::vector<std::filesystem::path>& names, const model::Model& source);

}  // namespace strata::pipeline
