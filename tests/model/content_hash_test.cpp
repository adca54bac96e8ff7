// Samples of tensors make a hash that files of scores, plans and journals carry: it must stay what it is.
#include "model/content_hash.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "core/file.h"
#include "model/model.h"
#include "support/temporary_folder.h"

namespace strata::model {
namespace content_hash_test {

TEST(ContentHash, AFingerprintIsWhatFilesOfBeforeSay) {
  const Model model = Model::open(std::filesystem::path(STRATA_TEST_DATA) / "golden/models/llama_tied");
  EXPECT_EQ(model.fingerprint(), "e42c7946591658fc");
}

TEST(ContentHash, SmallTensorsCountWholeAndLargeOnesBySixteenStretches) {
  const TemporaryFolder folder;
  constexpr std::size_t small = 4096, large = 1 << 20, step = large / 16;
  const auto hash = [&](std::optional<std::size_t> changed = std::nullopt) {
    std::string bytes(small + large, 'a');
    if (changed) bytes[*changed] = 'b';
    write_text_file(folder.path() / "bytes", bytes);
    const MappedFile file(folder.path() / "bytes");
    return content_hash({file.bytes().first(small), {}, file.bytes().subspan(small)});
  };
  const std::uint64_t before = hash();
  for (const std::size_t at : {std::size_t{0}, std::size_t{2049}, small - 1, small + 15 * step + 255})
    EXPECT_NE(hash(at), before) << at;
  EXPECT_EQ(hash(small + 15 * step + 256), before);
}

}  // namespace content_hash_test
}  // namespace strata::model
