// What a person may give as a model: a folder, a GGUF file, or a name on the hub.
// Model::open (src/model/model.h) calls model_path() for all verbs and for Python; nothing else does.
#pragma once
#include <filesystem>
#include <string>

namespace strata::hub {

/// For help pages and messages.
inline constexpr const char* kModelArgument = "Hugging Face folder, GGUF file, or hf:ORG/NAME[@REVISION][:FILE.gguf]";

/// Whether an argument names a repository of the hub.
bool is_on_hub(const std::string& argument);
/// "ORG/NAME" of "hf:ORG/NAME"; what does not begin so stays as it is.
std::string without_scheme(const std::string& argument);

/// Where the model lies on this machine. An argument that does not begin with "hf:" is that place. Any other names a
/// repository: what a model needs of it is fetched, unless the cache has it; FILE names one of its GGUF models. When
/// the hub cannot be reached, or HF_HUB_OFFLINE is set, the cache alone counts. Throws Error as pull(), and where the
/// cache has nothing.
std::filesystem::path model_path(const std::filesystem::path& argument);

}  // namespace strata::hub
