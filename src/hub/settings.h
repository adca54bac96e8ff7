// Where the hub is, who asks, and where its files are kept: what huggingface_hub's environment variables say.
// https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
#pragma once
#include <filesystem>
#include <string>

namespace strata::hub {

struct Settings {
  std::string endpoint = "https://huggingface.co";  ///< HF_ENDPOINT, without a slash at its end
  std::string token = {};                           ///< HF_TOKEN, or the file that `hf auth login` writes; may be empty
  std::filesystem::path cache;                      ///< HF_HUB_CACHE, else `hub` in HF_HOME
  bool offline = false;                             ///< HF_HUB_OFFLINE: only what is cached counts
  long silence_seconds = 10;  ///< HF_HUB_DOWNLOAD_TIMEOUT: without a byte for so long, a connection counts as broken

  /// `text` with "*" for the token, wherever it stands in it: for everything that a server says.
  std::string without_token(std::string text) const;
};

/// Reads the environment. Throws Error, which does not hold the token, for an endpoint that is no address, a token that
/// cannot stand in a header, a time that is none, and when neither HF_HOME nor HOME says where the cache is.
Settings settings_from_environment();

}  // namespace strata::hub
