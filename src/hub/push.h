// A folder or a GGUF file from this machine to a repository of the hub, as one commit.
// The steps are those of huggingface_hub's create_commit: preupload, upload of large files, commit.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "hub/client.h"
#include "hub/lfs.h"
#include "hub/repository.h"

namespace strata::hub {

/// Whether the repository is there and the token may see it. Throws Error as refuse(); and without a token.
bool repository_exists(Client& client, const RepositoryName& repository);
/// Makes an empty repository of models. Throws Error as refuse().
void create_repository(Client& client, const RepositoryName& repository, bool is_private);

/// What is pushed of a folder: all files in it and below but those whose names begin with a point and those that are
/// not complete (.part). A GGUF file is pushed alone. Throws Error for an output that is neither, and for links: where
/// they lead would be published.
std::vector<LocalFile> files_to_push(const std::filesystem::path& output);

struct Pushed {
  std::string commit = {}, url = {};  ///< empty where nothing has changed
  std::size_t files = 0;              ///< that are new or other than before
  std::uint64_t bytes = 0;            ///< of these files
};

/// Commits the files to the branch repository.revision, with progress. Files that the repository has already are left
/// out, as are those that its .gitignore names; what else it has stays. Throws as upload().
Pushed push(Client& client, const RepositoryName& repository, std::vector<LocalFile> files, const std::string& message);

}  // namespace strata::hub
