// The files that lie beside a model's weights and belong to it: tokenizers, chat templates, processors, code, licences.
// A rule says what stays behind; all else goes along.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace strata::model {

/// A file that goes along with a model: one on disk, or a text.
struct Companion {
  std::string name;  ///< its path within the model's folder, "additional_chat_templates/tool_use.jinja"
  std::uint64_t bytes = 0;
  std::filesystem::path file{};  ///< where it is; empty: it is `text`
  std::string text{};
};

/// The companions in a Hugging Face folder and its subfolders, in the order of their names. Weights, their indices,
/// caches, other checkpoints in subfolders, config.json and what would be false beside other weights stay behind.
/// Links are followed to files of the folder and to the blobs of the Hub's cache that the folder is in. Throws Error
/// for a link to any other file, since the content of that would be published with the model, and for folders of more
/// than 10,000 files.
std::vector<Companion> companions_of(const std::filesystem::path& directory);

}  // namespace strata::model
