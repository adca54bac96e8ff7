// What a person calls a model, for titles and cards.
#pragma once
#include <filesystem>
#include <string>

namespace strata::model {

/// "ORG/NAME" of a path in the hub's cache, where folders are named by hashes; else the name of the folder or file.
std::string model_name(const std::filesystem::path& path);

}  // namespace strata::model
