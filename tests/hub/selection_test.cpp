// Which files are fetched, of repositories as they are found on the hub.
// Sizes and hashes play no part.
#include "hub/selection.h"

#include <gtest/gtest.h>

#include "support/error_of.h"

namespace strata::hub {
namespace selection_test {

using Names = std::vector<std::string>;

std::vector<RemoteFile> files_of(const Names& names) {
  std::vector<RemoteFile> files;
  for (const std::string& name : names) files.push_back({.name = name, .size = 1});
  return files;
}

Names names_of(const std::vector<RemoteFile>& files) {
  Names names;
  for (const RemoteFile& file : files) names.push_back(file.name);
  return names;
}

Names taken(const Names& names, const Names& include = {}) {
  return names_of(select(files_of(names), include, "here").taken);
}

TEST(Selection, TakesWhatAModelNeeds) {
  const Names needed = {"LICENSE",
                        "README.md",
                        "chat_template.jinja",
                        "config.json",
                        "merges.txt",
                        "model-00001-of-00002.safetensors",
                        "model.safetensors.index.json",
                        "modeling_x.py",
                        "tokenizer.model"};
  Names all = needed;
  all.insert(all.end(), {".gitattributes", "model.onnx", "pytorch_model.bin", "tf_model.h5", "x.png", "sub/config.json",
                         "original/consolidated.00.pth", "x.gguf"});
  EXPECT_EQ(taken(all), needed);
  EXPECT_EQ(select(files_of(all), {}, "here").left.size(), all.size() - needed.size());
}

TEST(Selection, TakesTheSameTensorsOnce) {
  EXPECT_EQ(taken({"consolidated.safetensors", "model.safetensors"}), Names{"model.safetensors"});
  EXPECT_EQ(taken({"consolidated.safetensors"}), Names{"consolidated.safetensors"});
  EXPECT_EQ(taken({"pytorch_model-00001-of-00001.bin"}), Names{"pytorch_model-00001-of-00001.bin"});
}

TEST(Selection, TakesTheOnlyGgufModelWithAllItsParts) {
  const Names parts = {"q-00001-of-00002.gguf", "q-00002-of-00002.gguf"};
  EXPECT_EQ(taken(parts), parts);
  const std::string error = error_of([] { taken({"a.gguf", "b.gguf"}); });
  EXPECT_NE(error.find("several GGUF models"), std::string::npos) << error;
  EXPECT_NE(error.find("b.gguf"), std::string::npos) << error;
}

TEST(Selection, AGgufModelInPartsIsNamedByAnyOfThem) {
  const Names parts = {"x/q-00001-of-00002.gguf", "x/q-00002-of-00002.gguf"}, all = {"q.gguf", parts[0], parts[1]};
  EXPECT_EQ(taken(all, {parts[0]}), parts);
  EXPECT_EQ(taken(all, {"q.gguf"}), Names{"q.gguf"});
}

TEST(Selection, FollowsPatterns) {
  const Names all = {"a.json", "sub/b.json", "c.bin"};
  EXPECT_EQ(taken(all, {"*.json"}), (Names{"a.json", "sub/b.json"}));
  EXPECT_EQ(taken(all, {"[ab].json", "c*"}), (Names{"a.json", "c.bin"}));
  EXPECT_NE(error_of([&] {
              taken(all, {"a.json", "*.gguf"});
            }).find("has no file *.gguf; there are a.json"),
            std::string::npos);
}

}  // namespace selection_test
}  // namespace strata::hub
