// Gives the writer linears in stored form, one at a time: as the source holds them where it does in the wanted codec,
// rounded to nearest here, or as someone else has rounded them.
// They are encoded on all threads while the file is written on another.
#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "codec/codec.h"
#include "model/model.h"
#include "pipeline/output/tensor_scales.h"

namespace strata::pipeline {

struct EncodeOptions {
  codec::ScaleFit scale_fit = codec::ScaleFit::search;
  /// The mean square of every input of each linear, by index into Architecture::linears; it must outlive the encoder.
  /// Empty: all inputs weigh the same.
  std::span<const std::vector<float>> importance{};
  /// Gives the stored form of a linear, which is valid until the next call; linears are asked for in their order.
  /// Empty: they are rounded to nearest.
  std::function<const codec::Stored&(std::size_t)> stored{};
  /// Of linears that are rounded to nearest: gives those that another rank rounds, and null for one that is rounded
  /// here. Empty: all are.
  std::function<std::shared_ptr<const codec::Stored>(std::size_t)> of_others{};
  /// Which linear is rounded here after one. Empty: the next.
  std::function<std::size_t(std::size_t)> next{};
};

class LinearEncoder {
 public:
  /// codecs: by index into Architecture::linears. The model and the codecs must outlive this.
  LinearEncoder(const model::Model& model, const std::vector<const codec::Codec*>& codecs, EncodeOptions options = {})
      : model_(model), codecs_(codecs), options_(std::move(options)), scales_(model) {}

  /// True when the linears are rounded here, false when who gives them shows a progress of its own.
  bool rounds() const { return !options_.stored; }
  /// The stored form of a linear with codes. Linears are asked for in their order, each once or several times in a row.
  /// The mapped pages of its weights are released afterwards. Throws Error for a weight that is not finite.
  std::shared_ptr<const codec::Stored> linear(std::size_t index);
  /// Hands linears that lie stacked, part by part, to `take`, in their order; the view of part `part` is valid. They
  /// are encoded for the first part; the others, which are small, are kept until the last one was asked for.
  void part(std::span<const std::size_t> linears, std::size_t part,
            const std::function<void(std::shared_ptr<const codec::Stored>)>& take);

 private:
  const model::Model& model_;
  const std::vector<const codec::Codec*>& codecs_;
  EncodeOptions options_;
  TensorScales scales_;
  std::optional<std::size_t> current_;
  std::shared_ptr<const codec::Stored> stored_;                       ///< of the linear `current_`
  std::map<std::size_t, std::shared_ptr<const codec::Stored>> kept_;  ///< without their first parts, by linear
};

}  // namespace strata::pipeline
