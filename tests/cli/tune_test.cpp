// strata tune: what it refuses.
#include "cli/fixtures.h"

namespace strata {
namespace tune_test {

using fixtures::Cli;
namespace fs = std::filesystem;

TEST_F(Cli, TuneRefusesWhatItCannotWrite) {
  expect_refused("tune model -o out", "--ref", 2);
  expect_refused("tune model --ref model -o out.gguf", "must not end in .gguf", 2);
  expect_refused("tune model --ref nowhere -o out", "nowhere");
  expect_refused("tune model --ref model -o out --rate 0", "--rate", 2);
  fs::create_directories(folder_ / "there");
  expect_refused("tune model --ref model -o there", "exists");
}

}  // namespace tune_test
}  // namespace strata
