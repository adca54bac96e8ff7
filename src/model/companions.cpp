// Walks a model's folder. What stays behind is in three tables: kinds of files, names of files, names of folders.
// The layout of the Hub's cache: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
#include "model/companions.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/error.h"

namespace strata::model {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMostFiles = 10'000, kDeepest = 8;

/// Weights in any framework's form, and optimizers.
constexpr std::array<std::string_view, 17> kWeightEndings = {
    ".safetensors", ".bin",       ".pt",  ".pth", ".ckpt",   ".gguf", ".ggml",    ".h5",  ".msgpack",
    ".onnx",        ".onnx_data", ".npz", ".ot",  ".tflite", ".pkl",  ".mlmodel", ".nemo"};
constexpr std::string_view kIndexEnding = ".index.json";

/// Forms in which PyTorch keeps voices, tables and the like too: such a file is no weights when it is small and not
/// named as those who save and train models name theirs.
constexpr std::array<std::string_view, 3> kTorchEndings = {".bin", ".pt", ".pth"};
constexpr std::array<std::string_view, 10> kTorchWeights = {
    "pytorch_model", "model",         "adapter",   "consolidated",  "optimizer",
    "scheduler",     "training_args", "rng_state", "random_states", "scaler"};
constexpr std::uint64_t kSmallTorchFile = 64ull << 20;

/// Files that describe other weights than those that will lie beside them.
constexpr std::array<std::string_view, 14> kFalseElsewhere = {
    "config.json",           // written anew
    "README.base.md",        // the card of what the source was made from
    "params.json",           // of consolidated.safetensors
    "hf_quant_config.json",  // modelopt
    "quantize_config.json",  // AutoGPTQ
    "quant_config.json",     // AutoAWQ
    "quant_strategy.json",
    "recipe.yaml",  // llm-compressor
    "adapter_config.json",  "plan.json", "scores.json", "eval.json", "sweep.json", "imatrix.dat",
};
constexpr std::array<std::string_view, 2> kFalseEndings = {".report.json", ".report.html"};

/// Folders that are no part of a model. Those whose names begin with a point never are.
constexpr std::array<std::string_view, 4> kOtherFolders = {"original", "onnx", "__pycache__", "runs"};

bool ends_with_any(std::string_view name, auto endings) {
  return std::ranges::any_of(endings, [&](std::string_view ending) { return name.ends_with(ending); });
}

bool is_weights(std::string_view name) {
  return ends_with_any(name, kWeightEndings) || name.ends_with(kIndexEnding) || name.starts_with("consolidated");
}

bool is_small_torch_file(std::string_view name, std::uint64_t bytes) {
  const auto begins = [&](std::string_view start) { return name.starts_with(start); };
  return bytes <= kSmallTorchFile && ends_with_any(name, kTorchEndings) && std::ranges::none_of(kTorchWeights, begins);
}

bool stays_behind(std::string_view name, std::uint64_t bytes) {
  return name.starts_with('.') || (is_weights(name) && !is_small_torch_file(name, bytes)) ||
         std::ranges::count(kFalseElsewhere, name) != 0 || ends_with_any(name, kFalseEndings);
}

std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  std::error_code code;
  std::vector<fs::directory_entry> entries;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    entries.push_back(*it);
    if (entries.size() > kMostFiles)
      fail("{}: has more than {} files; is it a model's folder?", folder.string(), kMostFiles);
  }
  if (code) fail("{}: cannot be listed: {}", folder.string(), code.message());
  return entries;
}

bool is_below(const fs::path& file, const fs::path& folder) {
  const fs::path within = file.lexically_relative(folder);
  return !within.empty() && *within.begin() != "..";
}

class Walk {
 public:
  explicit Walk(const fs::path& directory) : directory_(directory), root_(fs::canonical(directory)) {
    // .../models--NAME/snapshots/REVISION is a folder of links into .../models--NAME/blobs, and these may be links into
    // .../blobs, where huggingface_hub keeps what several repositories have.
    for (fs::path at = root_; at.has_relative_path(); at = at.parent_path())
      if (at.filename() == "snapshots") blobs_ = {at.parent_path() / "blobs", at.parent_path().parent_path() / "blobs"};
  }

  std::vector<Companion> run() {
    add_folder(directory_, 0);
    std::ranges::sort(files_, {}, &Companion::name);
    return std::move(files_);
  }

 private:
  void add_folder(const fs::path& folder, std::size_t depth) {
    const std::vector<fs::directory_entry> entries = entries_of(folder);
    const auto holds_weights = [](const fs::directory_entry& entry) {
      return is_weights(entry.path().filename().string());
    };
    if (depth > 0 && std::ranges::any_of(entries, holds_weights)) return;  // another checkpoint
    for (const fs::directory_entry& entry : entries) {
      std::error_code code;
      const std::string name = entry.path().filename().string();
      const bool is_link = entry.is_symlink(code);
      if (entry.is_directory(code)) {
        const bool other = name.starts_with('.') || std::ranges::count(kOtherFolders, name) != 0;
        if (!is_link && !other && depth < kDeepest) add_folder(entry.path(), depth + 1);
      } else if (entry.is_regular_file(code) && !stays_behind(name, entry.file_size(code))) {
        if (is_link) check_link(entry.path());
        add_file(entry.path());
      }
    }
  }

  void check_link(const fs::path& link) const {
    std::error_code code;
    const fs::path file = fs::canonical(link, code);
    const auto holds = [&](const fs::path& folder) { return is_below(file, folder); };
    if (!code && (holds(root_) || std::ranges::any_of(blobs_, holds))) return;
    fail("{}: is a link to {}, which is no file of this model; put a copy of it in its place, or remove the link",
         link.string(), file.string());
  }

  void add_file(const fs::path& file) {
    if (files_.size() == kMostFiles)
      fail("{}: has more than {} files; is it a model's folder?", directory_.string(), kMostFiles);
    std::error_code code;
    const std::uint64_t bytes = fs::file_size(file, code);
    if (code) fail("{}: cannot be examined: {}", file.string(), code.message());
    files_.push_back({.name = file.lexically_relative(directory_).generic_string(), .bytes = bytes, .file = file});
  }

  fs::path directory_, root_;
  std::vector<fs::path> blobs_;  ///< of the Hub's cache that the folder is in
  std::vector<Companion> files_;
};

}  // namespace

std::vector<Companion> companions_of(const fs::path& directory) { return Walk(directory).run(); }

}  // namespace strata::model
