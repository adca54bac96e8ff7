// Input that is damaged or incomplete: one sentence that names the cause and its place, and nothing left behind.
#include <cstring>
#include <fstream>

#include "cli/fixtures.h"

namespace strata {
namespace damaged_input_test {

using fixtures::Cli;
namespace fs = std::filesystem;

TEST_F(Cli, MissingThingsAreNamed) {
  expect_refused("inspect nowhere", "does not exist");
  expect_refused("inspect model/model.safetensors", "neither a folder nor a GGUF");
  expect_refused("quantize model -o missing/out --preset uniform:int4_g32 --scale minmax --no-verify",
                 "does not exist");
  expect_refused("eval model --text nothing.txt", "tokenizer.json");
  fs::remove(model_ / "model.safetensors");
  expect_refused("inspect model", "safetensors");
  fs::remove(model_ / "config.json");
  expect_refused("inspect model", "config.json");
}

TEST_F(Cli, AConfigThatDisagreesWithTheTensorsIsRefused) {
  const json original = read_json_file(model_ / "config.json");
  const auto refused = [&](const char* key, const json& value, const char* part) {
    edit_config([&](json& config) { config[key] = value; });
    expect_refused(kQuantize, part);
    write_json_file(model_ / "config.json", original);
  };
  refused("hidden_size", 64, "shape");
  refused("num_hidden_layers", 9, "is missing");
  refused("num_hidden_layers", 1, "not part of");
  refused("intermediate_size", 1ull << 40, "intermediate_size");
  refused("model_type", "t5", "known are");
  refused("vocab_size", -4, "vocab_size");
}

TEST_F(Cli, DamagedWeightsAreRefusedWithTheirPlace) {
  const std::string whole = read_text_file(model_ / "model.safetensors");
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{4}, std::size_t{100}, whole.size() / 2, whole.size() - 1}) {
    std::ofstream(model_ / "model.safetensors", std::ios::binary) << whole.substr(0, size);
    expect_refused(kQuantize, "model.safetensors");
  }
  std::ofstream(model_ / "model.safetensors", std::ios::binary) << whole;
  std::uint64_t header = 0;
  std::memcpy(&header, whole.data(), 8);
  const json tensors = json::parse(whole.substr(8, header));
  const std::string name = "model.layers.1.mlp.down_proj.weight";
  const std::size_t at = 8 + header + tensors[name]["data_offsets"][0].get<std::size_t>();
  edit_weights([&](std::string& bytes) { bytes.replace(at + 4, 2, "\xFF\x7F"); });
  expect_refused(kQuantize, name + ": weight [0, 2] is nan");
}

}  // namespace damaged_input_test
}  // namespace strata
