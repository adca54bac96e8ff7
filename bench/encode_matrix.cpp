// Encodes one matrix with one codec, for scripts that compare other encoders with ours (bench/ggml_encoders.py).
// usage: bench_encode_matrix CODEC ROWS COLS WEIGHTS IMPORTANCE OUT
// WEIGHTS and IMPORTANCE are files of f32; OUT gets the stored parts one after the other.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "codec/codec.h"
#include "core/file.h"
#include "core/threads.h"
#include "quantize/rtn.h"

namespace {

std::vector<float> floats_of(const char* path, std::size_t count) {
  const strata::MappedFile file(path);
  if (file.bytes().size() != count * sizeof(float)) throw std::runtime_error(std::string(path) + ": wrong size");
  std::vector<float> values(count);
  std::memcpy(values.data(), file.bytes().data(), file.bytes().size());
  return values;
}

void encode(char** argv) {
  using namespace strata;
  set_thread_count(1);
  const codec::Codec& codec = codec::by_name(argv[1]);
  const std::size_t rows = std::stoul(argv[2]), cols = std::stoul(argv[3]);
  const std::vector<float> weights = floats_of(argv[4], rows * cols), importance = floats_of(argv[5], cols);
  const MatrixView view = MatrixView::dense(weights.data(), rows, cols, DType::f32);
  const codec::Stored stored = quantize::quantize_rtn(codec, view, importance, codec::ScaleFit::search, 1.0f);
  std::ofstream out(argv[6], std::ios::binary);
  for (const auto& part : stored.views)
    out.write(reinterpret_cast<const char*>(part.data()), static_cast<std::streamsize>(part.size()));
  if (!out.flush()) throw std::runtime_error(std::string(argv[6]) + ": cannot be written");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fputs("usage: bench_encode_matrix CODEC ROWS COLS WEIGHTS IMPORTANCE OUT\n", stderr);
    return 2;
  }
  try {
    encode(argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
