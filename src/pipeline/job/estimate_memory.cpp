// The largest sum of what is held together while a block is rounded; every term is a buffer of rounding.cpp, gptq.cpp
// or the writers.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "core/cpu.h"
#include "core/file.h"
#include "core/threads.h"
#include "pipeline/job/estimate.h"
#include "pipeline/output/part_writer.h"
#include "pipeline/round/rounding.h"

namespace strata::pipeline {
namespace {

constexpr std::uint64_t kFloat = sizeof(float);
constexpr std::uint64_t kProgramBytes = 22u << 20;    // code, configuration, the model's table of tensors
constexpr std::uint64_t kTokenizerBytes = 26u << 20;  // and what else the calibration text needs

/// Bytes of the linears' weights as they lie in the file, mapped.
std::vector<std::uint64_t> weight_bytes(const model::Model& model) {
  std::map<std::string, std::uint64_t> in_file;
  for (const model::TensorInfo& tensor : model.tensors()) in_file[tensor.name] = tensor.bytes;
  std::vector<std::uint64_t> bytes;
  for (const model::Linear& linear : model.architecture().linears) bytes.push_back(in_file[linear.module + ".weight"]);
  return bytes;
}

/// Those of the one that is rounded, where it must be dequantized first.
std::uint64_t dequantized_bytes(const model::Model& model, const model::Linear& linear) {
  return model.from_gguf() ? linear.rows * linear.cols * kFloat : 0;
}

constexpr std::uint64_t kKeptRowsBytes = std::uint64_t{2} << 30;  // more is not kept
constexpr std::uint64_t kLearnedBytes = 27;  // of a weight that is tuned, its decoded value and gradient among them

/// What one linear needs beside its block: its Hessian, the factor, and rows at work on every thread.
std::uint64_t rounding_bytes(const model::Architecture& a, const model::Linear& linear, std::size_t batch_tokens,
                             bool asymmetric) {
  const std::uint64_t n = linear.cols, square = n * n * kFloat, wide = n * linear.rows * kFloat;
  const std::uint64_t collecting = square + n * std::min<std::uint64_t>(batch_tokens, 4096) * kFloat;
  if (asymmetric && engine::ends_half(a, linear.block, engine::input_site(linear.role)))
    return std::max(collecting + wide + 2 * batch_tokens * a.hidden * kFloat, 3 * square + 3 * wide);
  if (asymmetric) return std::max(2 * collecting + 2 * square + wide, 5 * square + 3 * wide);
  const std::uint64_t stretch = linear.rows >= 1024 ? 128 : 32;
  const std::uint64_t rows = thread_count() * stretch * n * (2 * (2 * kFloat + 1) + 2 * kFloat);
  return std::max(collecting, 2 * square + rows);
}

std::uint64_t nearest_bytes(const model::Model& model, const std::vector<const codec::Codec*>& codecs) {
  const std::vector<std::uint64_t> weights = weight_bytes(model);
  const model::Architecture& a = model.architecture();
  std::uint64_t largest = a.vocab * a.hidden * 2;  // mapped, and written from there
  for (std::size_t l = 0; l < codecs.size(); ++l) {
    const model::Linear& linear = a.linears[l];
    const std::uint64_t stored = codec::stored_bytes(*codecs[l], linear.rows, linear.cols);
    // While it is encoded, the linears before it wait for the disk.
    const std::uint64_t encoded = stored + std::min<std::uint64_t>(kUnwrittenBytes, stored);
    largest = std::max(largest, weights[l] + dequantized_bytes(model, linear) + (codecs[l]->has_codes() ? encoded : 0));
  }
  return largest;
}

struct Blocks {
  std::uint64_t weights = 0, stored = 0, rounding = 0;  ///< largest over the blocks, and lm_head
};

Blocks largest_block(const model::Model& model, const std::vector<const codec::Codec*>& codecs,
                     std::size_t batch_tokens, const RoundingOptions& options) {
  const model::Architecture& a = model.architecture();
  const std::vector<std::uint64_t> weights = weight_bytes(model);
  std::vector<Blocks> blocks(a.blocks + 1);
  for (std::size_t l = 0; l < codecs.size(); ++l) {
    const model::Linear& linear = a.linears[l];
    if (linear.role == model::Role::embed) continue;
    Blocks& block = blocks[std::min(linear.block, a.blocks)];
    block.weights += weights[l];
    if (!codecs[l]->has_codes()) continue;  // copied from the file when its turn comes
    block.stored += codec::stored_bytes(*codecs[l], linear.rows, linear.cols);
    block.rounding = std::max(
        block.rounding, dequantized_bytes(model, linear) + rounding_bytes(a, linear, batch_tokens, options.asymmetric));
    if (options.tune.steps > 0 && !linear.routed()) block.stored += kLearnedBytes * linear.rows * linear.cols;
  }
  return *std::ranges::max_element(blocks, {},
                                   [](const Blocks& block) { return block.weights + block.stored + block.rounding; });
}

}  // namespace

Estimate estimate_memory(const model::Model& model, const Prepared& prepared, const QuantizeRequest& request) {
  const model::Architecture& a = model.architecture();
  const auto codecs = codecs_by_linear(prepared.plan.plan, a);
  Estimate estimate;
  estimate.disk_bytes = prepared.plan.output_bytes;
  std::uint64_t bytes = kProgramBytes, states = 0;
  if (request.plan.method == Method::rtn) {
    bytes += nearest_bytes(model, codecs);
  } else {
    const std::size_t together = Rounding::sequences_together(a, request.rounding.samples, request.rounding.seq_len);
    const std::uint64_t tokens = together * request.rounding.seq_len;
    const RoundingOptions& options = request.gptq;
    const std::uint64_t tunes = options.tune.steps > 0 ? 1 : 0, original = options.asymmetric ? 1 : tunes;
    const Blocks block = largest_block(model, codecs, tokens, options);
    bytes += kTokenizerBytes + block.weights + block.stored + block.rounding;
    if (const std::size_t l = a.embedding();
        l != model::kNoBlock && codecs[l]->has_codes())  // rounded first, and looked up in every pass
      bytes += codec::stored_bytes(*codecs[l], a.linears[l].rows, a.linears[l].cols);
    bytes += tokens * Rounding::floats_per_token(a) * kFloat * (1 + original);
    bytes += tokens * std::max(a.q_size(), a.intermediate) * kFloat * original;  // rows of the original at a site
    bytes += 3 * tunes * options.tune.batch_tokens * Rounding::floats_per_token(a) * kFloat;
    const std::uint64_t streams = 1 + original + tunes;
    states = streams * std::uint64_t{request.rounding.samples} * request.rounding.seq_len * a.hidden * kFloat;
    const std::uint64_t borrowed = std::min(states, streams * tokens * a.hidden * kFloat);
    estimate.spills = request.memory_limit && bytes + states > *request.memory_limit;
    bytes += estimate.spills ? borrowed : states;
    const std::uint64_t embedding = a.vocab * a.hidden * 2;  // copied at the beginning, while nothing else is held
    bytes = std::max(bytes, kProgramBytes + kTokenizerBytes + (estimate.spills ? borrowed : states) + embedding);
    if (estimate.spills) estimate.disk_bytes += states;
    const std::uint64_t rows = Rounding::kept_rows_bytes(a, request.rounding.samples * request.rounding.seq_len);
    estimate.keeps_rows = rows <= kKeptRowsBytes && (!request.memory_limit || bytes + rows <= *request.memory_limit);
    if (estimate.keeps_rows) bytes += rows;
  }
  if (request.memory_limit && bytes > *request.memory_limit)
    fail("--memory {} cannot be kept: rounding this model takes at least {}; allow that, or use smaller --seq-len",
         human_bytes(*request.memory_limit), human_bytes(bytes));
  estimate.memory_bytes = std::max(peak_resident_bytes(), bytes);
  return estimate;
}

}  // namespace strata::pipeline
