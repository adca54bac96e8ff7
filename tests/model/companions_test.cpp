// Which files go along with a model, and that no link takes a file along that is not the model's.
#include "model/companions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "core/file.h"
#include "support/error_of.h"
#include "support/temporary_folder.h"

namespace strata::model {
namespace companions_test {

namespace fs = std::filesystem;

void put(const fs::path& path, const std::string& text = "text") {
  fs::create_directories(path.parent_path());
  write_text_file(path, text);
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const Companion& companion : companions_of(folder)) names.push_back(companion.name);
  return names;
}

TEST(Companions, AllGoesAlongButWeightsAndWhatWouldBeFalse) {
  const TemporaryFolder folder;
  const std::vector<std::string> along = {"LICENSE",
                                          "NOTICE",
                                          "README.md",
                                          "additional_chat_templates/tool_use.jinja",
                                          "configuration_x.py",
                                          "preprocessor_config.json",
                                          "spk_dict.pt",  // voices of Qwen2.5-Omni
                                          "tekken.json",
                                          "tokenizer.model",
                                          "video_preprocessor_config.json"};
  for (const std::string& name : along) put(folder / name);
  for (const char* name :
       {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "training_args.bin", "optimizer.pt",
        "model.gguf", "consolidated.00.pth", "config.json", "hf_quant_config.json", "params.json", ".gitattributes",
        ".cache/huggingface/x.metadata", "original/tokenizer.model", "out/model.safetensors", "out/tokenizer.json",
        "onnx/model.json", "README.base.md", "x.report.json", "__pycache__/x.pyc"})
    put(folder / name);
  EXPECT_EQ(names_in(folder.path()), along);
  EXPECT_EQ(names_in(folder.path() / ""), along);
  EXPECT_EQ(companions_of(folder.path()).front().bytes, 4u);
  put(folder / "weights.pt");
  fs::resize_file(folder / "weights.pt", (64u << 20) + 1);
  EXPECT_EQ(names_in(folder.path()), along) << "a large one is weights whatever its name";
}

TEST(Companions, LinksAreFollowedToWhatSeveralRepositoriesOfTheHubsCacheHave) {
  const TemporaryFolder folder;
  const fs::path hub = folder / "models--org--name", snapshot = hub / "snapshots/0123";
  put(folder / "blobs/ab/abcd", "blob");
  fs::create_directories(hub / "blobs");
  fs::create_directories(snapshot);
  fs::create_symlink("../../blobs/ab/abcd", hub / "blobs/aaaa");
  fs::create_symlink("../../blobs/aaaa", snapshot / "tokenizer.json");
  EXPECT_EQ(names_in(snapshot), std::vector<std::string>{"tokenizer.json"});
}

TEST(Companions, LinksAreFollowedWithinTheModelAndTheHubsCacheOnly) {
  const TemporaryFolder folder;
  const fs::path hub = folder / "models--org--name", snapshot = hub / "snapshots/0123";
  put(hub / "blobs/aaaa", "blob");
  put(snapshot / "own.txt");
  fs::create_symlink("../../blobs/aaaa", snapshot / "tokenizer.json");
  fs::create_symlink("own.txt", snapshot / "again.txt");
  fs::create_directory_symlink("..", snapshot / "loop");
  EXPECT_EQ(names_in(snapshot), (std::vector<std::string>{"again.txt", "own.txt", "tokenizer.json"}));
  put(folder / "secret", "key");
  fs::create_symlink("../../../secret", snapshot / "notes.txt");
  const std::string error = error_of([&] { companions_of(snapshot); });
  EXPECT_NE(error.find("notes.txt: is a link to"), std::string::npos) << error;
  EXPECT_NE(error.find("secret"), std::string::npos) << error;
}

}  // namespace companions_test
}  // namespace strata::model
