// Hashes against values that other programs gave: sha256sum, and git hash-object.
#include "hub/digest.h"

#include <gtest/gtest.h>

#include <string_view>

#include "core/file.h"
#include "support/error_of.h"
#include "support/temporary_folder.h"

namespace strata::hub {
namespace digest_test {

std::string hash(Digest digest, std::string_view text) {
  digest.update(std::as_bytes(std::span(text)));
  return digest.hex();
}

TEST(Digest, IsThatOfTheStandard) {
  EXPECT_EQ(hash(Digest::sha256(), "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash(Digest::sha256(), ""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Digest, OfABlobIsTheNameThatGitGives) {
  EXPECT_EQ(hash(Digest::git_blob(0), ""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  EXPECT_EQ(hash(Digest::git_blob(12), "hello world\n"), "3b18e512dba79e4c8300dd08aeb37f8e728b8dad");
}

TEST(Digest, OfAFileIsReadInPieces) {
  const TemporaryFolder folder;
  write_text_file(folder / "large", std::string((4u << 20) + 3, 'x'));
  Digest parts = Digest::sha256(), whole = Digest::sha256();
  std::size_t read = 0, calls = 0;
  update_from_file(parts, folder / "large", [&](std::size_t bytes) {
    read += bytes;
    ++calls;
  });
  EXPECT_EQ(read, (4u << 20) + 3);
  EXPECT_EQ(calls, 2u);
  EXPECT_EQ(parts.hex(), hash(std::move(whole), std::string((4u << 20) + 3, 'x')));
  EXPECT_NE(error_of([&] { update_from_file(parts, folder / "none"); }), "");
}

}  // namespace digest_test
}  // namespace strata::hub
