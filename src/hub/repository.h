// A repository of models on the hub: its name, what a revision of it holds, and why the hub refuses a request.
// What a server says is not trusted: names of files stay within a folder, and hashes are hashes.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hub/client.h"

namespace strata::hub {

/// "ORG/NAME@REVISION:FILE", as it is written after "hf:"; only the name must be there.
struct RepositoryName {
  std::string name;               ///< "ORG/NAME"; a few old ones have no ORG
  std::string revision = "main";  ///< a branch, a tag, a commit
  std::string file = {};          ///< a file of the repository; empty where none is named

  /// As it is written, without what is usual.
  std::string text() const;
};
/// "ORG/NAME", or a "NAME" alone, as the hub allows it: the rules of huggingface_hub's validate_repo_id.
bool is_repository_name(const std::string& name);
/// Throws UsageError that says what is wrong with the text.
RepositoryName parse_repository(const std::string& text);

struct RemoteFile {
  std::string name;        ///< relative, of plain parts with slashes between them
  std::uint64_t size = 0;  ///< bytes
  std::string etag = {};   ///< SHA-256 of a file in Git LFS (64 digits), else the SHA-1 of its git blob (40)

  bool is_large() const { return etag.size() == 64; }
};

struct Revision {
  std::string commit;  ///< 40 hexadecimal digits
  std::vector<RemoteFile> files;
};

/// What the answer to model_info_url() says. Throws Error for names that would leave a folder, that are there twice or
/// that stand within each other, and for what is no hash; `where` opens its sentence.
Revision parse_revision(const std::string& body, const std::string& where);
/// Asks the hub. Throws Error as refuse() and parse_revision(), and Unreachable.
Revision fetch_revision(Client& client, const RepositoryName& repository);
/// Where the bytes of a file are: the hub redirects to them.
std::string file_url(const Settings& settings, const RepositoryName& repository, const std::string& commit,
                     const std::string& file);

/// Throws Error that says why the hub refused, and what to do. `what` was asked for: "", or the name of a file.
[[noreturn]] void refuse(const Response& response, const Settings& settings, const RepositoryName& repository,
                         const std::string& file = {});

/// Whether a text can be the name of a file within a folder: no part is empty, "." or "..", none is too long, and no
/// character is a control character or a backslash.
bool is_safe_name(const std::string& name);

}  // namespace strata::hub
