// Fuzzes parse_revision: any answer of a hub gives files whose names stay within their folder, or Error, and so does
// choosing among them.
#include <cstdint>
#include <cstdlib>
#include <filesystem>

#include "core/error.h"
#include "hub/selection.h"

using namespace strata;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const hub::Revision revision = hub::parse_revision({reinterpret_cast<const char*>(data), size}, "input");
    const std::filesystem::path folder = "/folder";
    for (const hub::RemoteFile& file : revision.files) {
      const std::string path = (folder / file.name).lexically_normal().string();
      if (path != "/folder/" + file.name || file.etag.find_first_not_of("0123456789abcdef") != std::string::npos)
        std::abort();
    }
    const hub::Selection selection = hub::select(revision.files, {}, "input");
    if (selection.taken.size() + selection.left.size() != revision.files.size()) std::abort();
  } catch (const Error&) {
    return 0;
  }
  return 0;
}
