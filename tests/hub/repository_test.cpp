// Names of repositories, and lists of files that a server may have made up.
// How the hub's refusals become sentences is tested with a server, in test_pull.py.
#include "hub/repository.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/json.h"
#include "support/error_of.h"

namespace strata::hub {
namespace repository_test {

const std::string kCommit(40, 'c'), kBlob(40, 'b'), kLarge(64, 'a');

TEST(RepositoryName, HasARevisionAndAFileWhereTheyAreWritten) {
  const RepositoryName plain = parse_repository("org/name");
  EXPECT_EQ(plain.name, "org/name");
  EXPECT_EQ(plain.revision, "main");
  EXPECT_EQ(plain.file, "");
  const RepositoryName all = parse_repository("org/name@refs/pr/1:sub/x@2.gguf");
  EXPECT_EQ(all.name, "org/name");
  EXPECT_EQ(all.revision, "refs/pr/1");
  EXPECT_EQ(all.file, "sub/x@2.gguf");
  EXPECT_EQ(parse_repository("gpt2").name, "gpt2");
  for (const char* text : {"org/name", "org/name@v1", "org/name:x.gguf", "org/name@v1:x.gguf"})
    EXPECT_EQ(parse_repository(text).text(), text);
}

TEST(RepositoryName, OfOtherCharactersIsRefused) {
  for (const std::string text : {"", "/", "org/", "/name", "a/b/c", "a--b/c", "a/b..c", ".a/b", "a/b-", "a/b.git",
                                 "a b/c", "a/b@", "a/b@../x", "a/b:", "a/b:../x.gguf", "a/b@v1:/x.gguf", "a/\xC3\xA9"})
    EXPECT_THROW(parse_repository(text), UsageError) << text;
  EXPECT_THROW(parse_repository("a/" + std::string(95, 'x')), UsageError);
}

json file(const std::string& name) { return {{"rfilename", name}, {"size", 4}, {"blobId", kBlob}}; }

std::string listing(const std::vector<json>& siblings) {
  return json({{"sha", kCommit}, {"siblings", siblings}}).dump();
}

TEST(Revision, NamesAFileByItsHash) {
  json large = file("m.safetensors");
  large["lfs"] = {{"sha256", kLarge}, {"size", 9}, {"pointerSize", 130}};
  const Revision revision = parse_revision(listing({file("config.json"), large}), "here");
  EXPECT_EQ(revision.commit, kCommit);
  ASSERT_EQ(revision.files.size(), 2u);
  EXPECT_EQ(revision.files[0].etag, kBlob);
  EXPECT_FALSE(revision.files[0].is_large());
  EXPECT_EQ(revision.files[1].etag, kLarge);
  EXPECT_EQ(revision.files[1].size, 9u);
  EXPECT_TRUE(revision.files[1].is_large());
}

TEST(Revision, HasNoNamesThatLeaveItsFolder) {
  for (const std::string name : {"../x", "a/../b", "/x", "a//b", "./x", "x/", "", "a\\b", "a\nb", "..", "."})
    EXPECT_NE(error_of([&] { parse_revision(listing({file(name)}), "here"); }).find("not safe to pull"),
              std::string::npos)
        << name;
  EXPECT_EQ(error_of([&] { parse_revision(listing({file("...")}), "here"); }), "");
  EXPECT_NE(error_of([&] { parse_revision(listing({file("a"), file("a")}), "here"); }), "");
  EXPECT_NE(error_of([&] { parse_revision(listing({file("a/b/c"), file("a/b")}), "here"); }), "");
}

TEST(Revision, EveryTruncationOfAListIsRefused) {
  const std::string whole = listing({file("config.json")});
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_NE(error_of([&] { parse_revision(whole.substr(0, size), "here"); }), "") << size;
}

TEST(Url, HasNoCharacterThatMeansSomethingInIt) {
  Settings settings;
  EXPECT_EQ(file_url(settings, {.name = "org/name"}, kCommit, "a b/c?d#e%.json"),
            "https://huggingface.co/org/name/resolve/" + kCommit + "/a%20b/c%3Fd%23e%25.json");
  EXPECT_EQ(percent_encoded("refs/pr/1", false), "refs%2Fpr%2F1");
}

TEST(Origin, IsSchemeHostAndPort) {
  EXPECT_EQ(origin_of("https://Huggingface.co/a?b"), "https://huggingface.co:443");
  EXPECT_EQ(origin_of("https://huggingface.co@evil.example/x"), "https://evil.example:443");
  EXPECT_EQ(origin_of("http://localhost:8080"), "http://localhost:8080");
  EXPECT_NE(origin_of("http://huggingface.co"), origin_of("https://huggingface.co"));
  EXPECT_NE(error_of([] { origin_of("file:///etc/passwd"); }), "");
  EXPECT_NE(error_of([] { origin_of("no address"); }), "");
}

}  // namespace repository_test
}  // namespace strata::hub
