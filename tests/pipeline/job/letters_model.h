// A tiny model of the goldens whose tokens are letters, a text of letters, and jobs on them that take moments.
#pragma once
#include <filesystem>
#include <string>

#include "core/random.h"
#include "pipeline/job/quantize.h"
#include "support/tiny_model.h"

namespace strata::pipeline {

/// A job's options with little text, without a report.
inline void make_small(QuantizeRequest& request, const std::filesystem::path& text) {
  request.calibration.texts = {{text}};
  request.calibration.samples = 4;
  request.calibration.seq_len = 16;
  request.verify_samples = 2;
  request.overwrite = true;
  request.report = false;
}

class LettersModel {
 public:
  explicit LettersModel(const std::string& golden) {
    std::filesystem::copy(::strata::fixtures::golden_model(golden), model());
    json vocabulary;
    for (char c = 'a'; c <= 'z'; ++c) vocabulary[std::string(1, c)] = c - 'a';
    write_json_file(model() / "tokenizer.json",
                    {{"version", "1.0"},
                     {"added_tokens", json::array()},
                     {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", json::array()}}}});
    write_json_file(model() / "tokenizer_config.json", json::object());
    std::string letters;
    Random random(1);
    for (std::size_t i = 0; i < 600; ++i) letters += static_cast<char>('a' + random.next() % 26);
    write_text_file(text(), letters);
  }

  const std::filesystem::path& folder() const { return folder_.path(); }
  std::filesystem::path model() const { return folder() / "model"; }
  std::filesystem::path text() const { return folder() / "text.txt"; }

  QuantizeRequest request(const std::string& preset, const std::string& output) const {
    QuantizeRequest request;
    request.model = model();
    request.output = folder() / output;
    request.plan.preset = preset;
    make_small(request, text());
    return request;
  }

 private:
  ::strata::fixtures::TemporaryFolder folder_;
};

}  // namespace strata::pipeline
