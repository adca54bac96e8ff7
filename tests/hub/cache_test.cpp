// The layout that huggingface_hub expects, and what environment variables say of it.
// That the library itself reads such a folder is tested in tests/peers/test_hub.py.
#include "hub/cache.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>

#include "core/file.h"
#include "support/error_of.h"
#include "support/temporary_folder.h"

namespace strata::hub {
namespace cache_test {

namespace fs = std::filesystem;

const std::string kCommit(40, 'c');

class Caches : public testing::Test {
 protected:
  void SetUp() override {
    cache_.prepare();
    write_text_file(cache_.blob(file_.etag), "1234");
  }

  const TemporaryFolder folder_;
  const RepositoryCache cache_{folder_.path(), "org/name"};
  const RemoteFile file_{.name = "a/b/c.json", .size = 4, .etag = std::string(40, 'b')};
};

TEST_F(Caches, LinkAFileOfASnapshotToItsBlob) {
  cache_.link(kCommit, file_);
  const fs::path link = folder_ / "models--org--name/snapshots" / kCommit / "a/b/c.json";
  EXPECT_EQ(fs::read_symlink(link), fs::path("../../../../blobs") / file_.etag);
  EXPECT_EQ(read_text_file(link), "1234");
  cache_.link(kCommit, file_);  // once more
  fs::remove(link);
  fs::create_symlink("elsewhere", link);
  cache_.link(kCommit, file_);
  EXPECT_EQ(read_text_file(link), "1234");
}

TEST_F(Caches, HaveAFileInItsSizeOnly) {
  EXPECT_TRUE(cache_.has(file_));
  EXPECT_FALSE(cache_.has({.name = "x", .size = 5, .etag = file_.etag}));
  EXPECT_FALSE(cache_.has({.name = "x", .size = 4, .etag = std::string(40, 'd')}));
}

TEST_F(Caches, FindARevisionByItsNameOrItsCommit) {
  cache_.set_commit("refs/pr/1", kCommit);
  EXPECT_EQ(cache_.commit_of("refs/pr/1"), std::nullopt) << "its snapshot is not there";
  cache_.link(kCommit, file_);
  EXPECT_EQ(cache_.commit_of("refs/pr/1"), kCommit);
  EXPECT_EQ(cache_.commit_of(kCommit), kCommit);
  EXPECT_EQ(cache_.commit_of("main"), std::nullopt);
  write_text_file(folder_ / "models--org--name/refs/main", "../../elsewhere");
  EXPECT_EQ(cache_.commit_of("main"), std::nullopt);
}

TEST_F(Caches, TellWhoseAPathIs) {
  EXPECT_EQ(repository_of(cache_.snapshot(kCommit) / "a"), "org/name");
  EXPECT_EQ(repository_of("/a/hub/models--Qwen--Qwen3-0.6B/snapshots/0123"), "Qwen/Qwen3-0.6B");
  EXPECT_EQ(repository_of("/a/models/Qwen3-0.6B"), "");
  EXPECT_EQ(repository_of("/a/models--only"), "");
  EXPECT_EQ(repository_of("/a/models--org--x: y"), "") << "it would be written into the head of a card";
}

/// The environment as it was, afterwards.
class Variables : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : kNames) {
      const char* value = std::getenv(name);
      before_.emplace_back(value == nullptr ? std::nullopt : std::optional<std::string>(value));
      unsetenv(name);
    }
    setenv("HOME", folder_.path().c_str(), 1);
  }
  void TearDown() override {
    for (std::size_t i = 0; i < before_.size(); ++i)
      before_[i] ? setenv(kNames[i], before_[i]->c_str(), 1) : unsetenv(kNames[i]);
  }
  static constexpr std::array<const char*, 13> kNames = {
      "HOME",         "HF_TOKEN",       "HUGGING_FACE_HUB_TOKEN",       "HF_HOME",       "HF_HUB_CACHE",
      "HF_ENDPOINT",  "HF_HUB_OFFLINE", "HUGGINGFACE_HUB_CACHE",        "HF_TOKEN_PATH", "TRANSFORMERS_OFFLINE",
      "STRATA_TRIAL", "XDG_CACHE_HOME", "HF_HUB_DISABLE_IMPLICIT_TOKEN"};
  std::vector<std::optional<std::string>> before_;
  const TemporaryFolder folder_;
};

TEST_F(Variables, SayWhereTheCacheIs) {
  EXPECT_EQ(settings_from_environment().cache, folder_ / ".cache/huggingface/hub");
  setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(settings_from_environment().cache, "/x/huggingface/hub");
  setenv("STRATA_TRIAL", "part", 1);
  setenv("HF_HOME", "~/${STRATA_TRIAL}/$STRATA_TRIAL$", 1);
  EXPECT_EQ(settings_from_environment().cache, folder_ / "part/part$/hub");
  setenv("HF_HUB_CACHE", "/c/", 1);
  EXPECT_EQ(settings_from_environment().cache.parent_path(), "/c");
}

TEST_F(Variables, SayWhereTheHubIsAndWhoAsks) {
  EXPECT_EQ(settings_from_environment().endpoint, "https://huggingface.co");
  EXPECT_FALSE(settings_from_environment().offline);
  EXPECT_EQ(settings_from_environment().token, "");
  setenv("HF_ENDPOINT", "https://mirror.example/hub//", 1);
  setenv("HF_HUB_OFFLINE", "yes", 1);
  fs::create_directories(folder_ / ".cache/huggingface");
  write_text_file(folder_ / ".cache/huggingface/token", "hf_file\n");
  EXPECT_EQ(settings_from_environment().endpoint, "https://mirror.example/hub");
  EXPECT_TRUE(settings_from_environment().offline);
  EXPECT_EQ(settings_from_environment().token, "hf_file");
  setenv("HF_TOKEN", " hf_word ", 1);
  EXPECT_EQ(settings_from_environment().token, "hf_word");
  EXPECT_EQ(settings_from_environment().without_token("ahf_wordb hf_word"), "a*b *");
  setenv("HF_TOKEN", "hf_two words", 1);
  EXPECT_EQ(error_of([] { settings_from_environment(); }).find("hf_two"), std::string::npos);
  EXPECT_NE(error_of([] { settings_from_environment(); }), "");
}

TEST_F(Variables, RefuseAnEndpointWithAPassword) {
  setenv("HF_ENDPOINT", "https://me:secret@mirror.example", 1);
  const std::string error = error_of([] { settings_from_environment(); });
  EXPECT_NE(error, "");
  EXPECT_EQ(error.find("secret"), std::string::npos);
}

}  // namespace cache_test
}  // namespace strata::hub
