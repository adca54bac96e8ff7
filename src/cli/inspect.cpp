// strata inspect: what a model is, tensor by tensor.
// For a quantized checkpoint also the codec of every linear and the true bits.
#include <array>
#include <map>
#include <memory>

#include "cli/verb.h"
#include "core/file.h"
#include "model/model.h"

namespace strata::cli {
namespace {

struct Options {
  std::string model;
  bool tensors = false;
};

double bits_of(std::uint64_t bytes, std::uint64_t weights) {
  return weights == 0 ? 0.0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

json describe(const model::Model& model) {
  const model::Architecture& a = model.architecture();
  json value;
  value["path"] = model.path().string();
  value["container"] = model.from_gguf() ? "gguf" : "safetensors";
  value["fingerprint"] = model.fingerprint();
  value["architecture"] = {{"model_type", a.model_type},     {"blocks", a.blocks}, {"hidden", a.hidden},
                           {"intermediate", a.intermediate}, {"heads", a.heads},   {"kv_heads", a.kv_heads},
                           {"head_dim", a.head_dim},         {"vocab", a.vocab},   {"max_position", a.max_position},
                           {"tied_embeddings", a.tied}};
  std::uint64_t tensor_bytes = 0, parameters = 0;
  json tensors = json::array();
  for (const model::TensorInfo& tensor : model.tensors()) {
    tensor_bytes += tensor.bytes;
    tensors.push_back({{"name", tensor.name}, {"type", tensor.type}, {"shape", tensor.shape}, {"bytes", tensor.bytes}});
  }
  for (const model::ExpectedTensor& tensor : model::expected_tensors(a)) {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : tensor.shape) count *= extent;
    parameters += count;
  }
  value["parameters"] = parameters;
  value["tensor_bytes"] = tensor_bytes;
  std::uint64_t bytes = 0, weights = 0;
  json linears = json::array();
  for (const model::Linear& linear : a.linears) {
    const codec::Codec* codec = model.codec_of(linear);
    const std::uint64_t stored = model.stored_bytes(linear), count = linear.rows * linear.cols;
    linears.push_back({{"module", linear.module},
                       {"role", model::role_name(linear.role)},
                       {"rows", linear.rows},
                       {"cols", linear.cols},
                       {"codec", codec ? codec->name : "dense"},
                       {"bytes", stored},
                       {"bits", bits_of(stored, count)}});
    if (linear.block == model::kNoBlock) continue;
    bytes += stored;
    weights += count;
  }
  value["linears_of_blocks"] = {{"bytes", bytes}, {"weights", weights}, {"bits", bits_of(bytes, weights)}};
  value["linears"] = std::move(linears);
  value["tensors"] = std::move(tensors);
  return value;
}

void show(const model::Model& model, const json& value, const Options& options) {
  const model::Architecture& a = model.architecture();
  fmt::print("{}\n", model.path().string());
  fmt::print(
      "  {}, {} blocks, hidden {}, feed-forward {}, {} heads ({} key-value) of {}, vocabulary {}, {} positions{}\n",
      a.model_type, a.blocks, a.hidden, a.intermediate, a.heads, a.kv_heads, a.head_dim, a.vocab, a.max_position,
      a.tied ? ", tied embeddings" : "");
  fmt::print("  {:.1f} M parameters, {} of tensors, fingerprint {}\n",
             static_cast<double>(value["parameters"].get<std::uint64_t>()) / 1e6, human_bytes(value["tensor_bytes"]),
             value["fingerprint"].get<std::string>());
  fmt::print("  linears of the blocks: {} at {:.3f} bits\n\n", human_bytes(value["linears_of_blocks"]["bytes"]),
             value["linears_of_blocks"]["bits"].get<double>());
  std::vector<std::vector<std::string>> rows;
  if (options.tensors) {
    rows.push_back({"tensor", "type", "shape", "bytes"});
    for (const json& t : value["tensors"])
      rows.push_back({t["name"], t["type"],
                      fmt::format("{}", fmt::join(t["shape"].get<std::vector<std::uint64_t>>(), " x ")),
                      fmt::format("{}", t["bytes"].get<std::uint64_t>())});
  } else {
    std::map<std::pair<std::string, std::string>, std::array<std::uint64_t, 3>> kinds;
    for (const json& l : value["linears"]) {
      auto& [count, bytes, weights] = kinds[{l["role"], l["codec"]}];
      ++count;
      bytes += l["bytes"].get<std::uint64_t>();
      weights += l["rows"].get<std::uint64_t>() * l["cols"].get<std::uint64_t>();
    }
    rows.push_back({"role", "codec", "linears", "size", "bits"});
    for (const auto& [kind, sums] : kinds)
      rows.push_back({kind.first, kind.second, fmt::format("{}", sums[0]), human_bytes(sums[1]),
                      fmt::format("{:.3f}", bits_of(sums[1], sums[2]))});
  }
  fmt::print("{}", table(rows));
}

std::function<void()> setup(CLI::App& app, const Common& common) {
  auto options = std::make_shared<Options>();
  app.add_option("MODEL", options->model, "Hugging Face folder or GGUF file")->required();
  app.add_flag("--tensors", options->tensors, "List every tensor instead of a summary by role");
  return [options, &common] {
    const model::Model model = model::Model::open(options->model);
    const json value = describe(model);
    print_json(common, value);
    if (!common.json_output) show(model, value, *options);
  };
}

}  // namespace

extern const Verb inspect_verb = {
    "inspect", "Show a model's architecture, tensors, sizes and bits",
    "  strata inspect MODEL\n  strata inspect MODEL --tensors\n  strata inspect MODEL --json | jq .parameters\n",
    setup};

}  // namespace strata::cli
