// Round to nearest: every linear on its own, in the order of the output, as it is written. Ranks share the linears.
#include "quantize/rtn.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>

#include "pipeline/job/methods.h"
#include "pipeline/job/model_bytes.h"
#include "pipeline/job/shared_work.h"
#include "pipeline/output/part_writer.h"
#include "pipeline/output/shared_encoding.h"
#include "pipeline/output/stored_parts.h"
#include "quantize/scan.h"

namespace strata::pipeline {
namespace {

/// The linears that are to be rounded.
std::vector<std::size_t> linears_left(const PlannedJob& job, const Codecs& codecs, const JobFolder& folder,
                                      const StoredParts& parts) {
  const model::Architecture& a = job.model.architecture();
  const std::vector<bool> stored = stored_linears(job.output, a, folder.result(), parts);
  std::vector<std::size_t> left;
  for (std::size_t l = 0; l < codecs.size(); ++l)
    if (codecs[l]->has_codes() && !stored[l] && job.model.source_codec(l) != codecs[l]) left.push_back(l);
  return left;
}

/// Every rank gets the mean squares of inputs that the first one has, if any.
void share_importance(std::vector<std::vector<float>>& importance) {
  std::vector<float> all;
  std::vector<std::size_t> sizes;
  for (const std::vector<float>& of_linear : importance) {
    all.insert(all.end(), of_linear.begin(), of_linear.end());
    sizes.push_back(of_linear.size());
  }
  all_ranks().broadcast(all);
  all_ranks().broadcast(sizes);
  importance.clear();
  auto next = all.begin();
  for (const std::size_t size : sizes) {
    const auto end = next + static_cast<std::ptrdiff_t>(size);
    importance.emplace_back(next, end);
    next = end;
  }
}

}  // namespace

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
  return std::max(static_cast<double>(job.output.bytes()) / kDiskBytesPerSecond,
                  seconds / static_cast<double>(all_ranks().size()));
}

void write_rtn(const PlannedJob& job, const Forecast&, JobFolder& folder, Listener&, Written&) {
  if (folder.complete()) return;
  StoredParts parts(folder);
  const model::Architecture& a = job.model.architecture();
  const auto codecs = codecs_by_linear(job.prepared.plan.plan, a);
  EncodeOptions options{.scale_fit = job.request.scale_fit, .importance = job.prepared.importance};
  std::optional<SharedEncoding> shared;
  if (all_ranks().many()) {
    const std::vector<std::size_t> linears = linears_left(job, codecs, folder, parts);
    ask_for_help("encode", {{"codecs", names_of(codecs)}, {"linears", linears}});
    std::vector<std::vector<float>> importance = job.prepared.importance;
    share_importance(importance);
    shared.emplace(a, codecs, linears, all_ranks());
    options.of_others = [&](std::size_t l) { return shared->take(l); };
    options.next = [&](std::size_t l) { return shared->next(l); };
  }
  LinearEncoder encoder(job.model, codecs, options);
  job.output.write(encoder, folder.result(), parts);
  if (shared) shared->end();
}

void help_to_encode(const model::Model& model, const QuantizeRequest& request, const json& details) {
  const std::string where = "what the first rank sent";
  const Codecs codecs = codecs_named(get<json>(details, "codecs", where));
  std::vector<std::vector<float>> importance;
  share_importance(importance);
  const SharedEncoding shared(model.architecture(), codecs, get<std::vector<std::size_t>>(details, "linears", where),
                              all_ranks());
  LinearEncoder encoder(model, codecs,
                        {.scale_fit = request.scale_fit, .importance = importance, .next = [&](std::size_t l) {
                           return shared.next(l);
                         }});
  shared.help(encoder);
}

}  // namespace strata::pipeline
