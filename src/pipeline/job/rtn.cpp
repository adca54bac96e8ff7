// Round to nearest: every linear on its own, in the order of the output, as it is written.
#include "quantize/rtn.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "pipeline/job/methods.h"
#include "pipeline/job/model_bytes.h"
#include "pipeline/output/linear_encoder.h"
#include "pipeline/output/part_writer.h"
#include "pipeline/output/stored_parts.h"
#include "quantize/scan.h"

namespace strata::pipeline {

void forecast_rtn(const PlannedJob& job, Forecast& forecast) {
  const model::Architecture& a = job.model.architecture();
  const std::vector<std::uint64_t> weights = weight_bytes(job.model);
  const auto codecs = codecs_by_linear(job.prepared.plan.plan, a);
  std::uint64_t largest = a.vocab * a.hidden * 2;  // the embedding, mapped, and written from there
  for (std::size_t l = 0; l < codecs.size(); ++l) {
    const model::Linear& linear = a.linears[l];
    const std::uint64_t stored = codec::stored_bytes(*codecs[l], linear.rows, linear.cols);
    // While it is encoded, the linears before it wait for the disk.
    const std::uint64_t encoded = stored + std::min<std::uint64_t>(kUnwrittenBytes, stored);
    largest =
        std::max(largest, weights[l] + dequantized_bytes(job.model, linear) + (codecs[l]->has_codes() ? encoded : 0));
  }
  forecast.memory_bytes += largest;
}

/// Seconds a weight of each codec are measured on some rows of the first linear that has it.
double seconds_of_rtn(const PlannedJob& job, const Forecast&) {
  constexpr double kDiskBytesPerSecond = 5e8;
  constexpr std::size_t kRows = 512;
  const model::Architecture& a = job.model.architecture();
  const auto codecs = codecs_by_linear(job.prepared.plan.plan, a);
  const auto& importance = job.prepared.importance;
  std::map<const codec::Codec*, double> per_weight;
  double seconds = 0;
  for (std::size_t l = 0; l < codecs.size(); ++l) {
    if (job.model.source_codec(l) == codecs[l]) continue;  // only copied
    const model::Linear& linear = a.linears[l];
    auto [it, fresh] = per_weight.try_emplace(codecs[l], 0.0);
    if (fresh) {
      const model::LinearWeights held = job.model.weights(linear);
      MatrixView part = held.view().dense;
      part.rows = std::min(part.rows, kRows);
      const auto weights = importance.empty() ? std::span<const float>() : std::span<const float>(importance[l]);
      const auto encode = [&] {
        const float absmax = quantize::checked_absmax(part, job.model.path().string(), linear.module + ".weight");
        quantize::quantize_rtn(*codecs[l], part, weights, job.request.scale_fit,
                               codec::tensor_scale(*codecs[l], absmax));
      };
      encode();  // its pages come from the disk
      it->second = seconds_of(encode) / static_cast<double>(part.weights());
    }
    seconds += it->second * static_cast<double>(linear.rows * linear.cols);
  }
  return std::max(static_cast<double>(job.output.bytes()) / kDiskBytesPerSecond, seconds);
}

void write_rtn(const PlannedJob& job, const Forecast&, JobFolder& folder, Listener&, Written&) {
  if (folder.complete()) return;
  StoredParts parts(folder);
  const auto codecs = codecs_by_linear(job.prepared.plan.plan, job.model.architecture());
  LinearEncoder encoder(job.model, codecs, {.scale_fit = job.request.scale_fit, .importance = job.prepared.importance});
  job.output.write(encoder, folder.result(), parts);
}

}  // namespace strata::pipeline
