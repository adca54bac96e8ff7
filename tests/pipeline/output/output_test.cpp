// An output is written as it was planned, to the byte, in every container; a run that stopped at any note of its
// journal resumes from what it has stored.
#include "pipeline/output/output.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>

#include "format/gguf.h"
#include "pipeline/choose/problem.h"
#include "pipeline/output/gguf_file.h"
#include "pipeline/output/linear_encoder.h"
#include "pipeline/output/stored_parts.h"
#include "support/tiny_model.h"

namespace strata::pipeline {
namespace output_test {

namespace fs = std::filesystem;
using strata::fixtures::error_of;
using strata::fixtures::golden_model;
using strata::fixtures::TemporaryFolder;
using strata::fixtures::TinyModel;

/// A tokenizer of letters, which GGUF can express, beside a model of 80 tokens.
void write_tokenizer(const fs::path& model) {
  json vocabulary;
  for (char c = 'a'; c <= 'z'; ++c) vocabulary[std::string(1, c)] = c - 'a';
  const json special = {{"id", 26},        {"content", "<s>"},    {"single_word", false}, {"lstrip", false},
                        {"rstrip", false}, {"normalized", false}, {"special", true}};
  write_json_file(model / "tokenizer.json",
                  {{"version", "1.0"},
                   {"added_tokens", {special}},
                   {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", json::array()}}}});
  write_json_file(model / "tokenizer_config.json", {{"bos_token", "<s>"}, {"eos_token", "<s>"}});
}

/// A container and what a model is written as in it.
struct Case {
  const char* target;
  std::vector<std::string> codecs;  ///< given to the groups in turn, and "keep" where one does not fit
  std::uint64_t shard_bytes;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {{"vllm", {"keep"}, 0},
                                        {"vllm", {"keep"}, 9000},
                                        {"vllm", {"int4_g32", "keep", "fp8_channel", "nvfp4"}, 0},
                                        {"vllm", {"int4_g32", "keep", "fp8_channel", "nvfp4"}, 9000},
                                        {"llama.cpp", {"keep"}, 0},
                                        {"llama.cpp", {"keep"}, 9000},
                                        {"llama.cpp", {"q4_0", "keep", "q8_0", "q5_1"}, 0},
                                        {"llama.cpp", {"q4_0", "keep", "q8_0", "q5_1"}, 9000},
                                        {"mlx", {"keep"}, 0},
                                        {"mlx", {"keep"}, 9000},
                                        {"mlx", {"mlx4_g32", "keep", "mlx3_g32", "mlx_nvfp4"}, 0},
                                        {"mlx", {"mlx4_g32", "keep", "mlx3_g32", "mlx_nvfp4"}, 9000}};
  return all;
}

/// A golden model as a target sees it, its codecs by linear, and its output.
class Written {
 public:
  Written(const std::string& name, const Case& what)
      : target_(target_by_name(what.target)), model_(open(name)), codecs_(codecs_of(what.codecs)) {
    output_ = plan_output(model_, codecs_, target_, what.shard_bytes);
  }

  const model::Model& model() const { return model_; }
  const model::Architecture& architecture() const { return model_.architecture(); }
  const Codecs& codecs() const { return codecs_; }
  const Output& output() const { return *output_; }
  const Target& target() const { return target_; }
  fs::path path(const fs::path& folder) const { return folder / ("out" + std::string(target_.extension())); }
  /// Each group gets the next of these codecs, if it can hold the group.
  Codecs codecs_of(const std::vector<std::string>& names) const {
    const model::Architecture& a = model_.architecture();
    const Problem problem(model_, target_, {}, {});
    Codecs codecs(a.linears.size(), &codec::by_name("keep"));
    for (std::size_t g = 0; g < a.groups.size(); ++g)
      if (const codec::Codec& codec = codec::by_name(names[g % names.size()]); problem.fits(g, codec))
        for (const std::size_t l : a.groups[g].linears) codecs[l] = &codec;
    return codecs;
  }

 private:
  model::Model open(const std::string& name) const {
    const fs::path folder = folder_.path() / "model";
    fs::copy(golden_model(name), folder);
    write_tokenizer(folder);
    return model::Model::open(folder, target_.fusion());
  }

  TemporaryFolder folder_;
  const Target& target_;
  model::Model model_;
  Codecs codecs_;
  std::unique_ptr<Output> output_;
};

/// The contents of an output's files, by name.
std::map<std::string, std::string> contents(const Output& output, const fs::path& path) {
  std::map<std::string, std::string> result;
  for (const fs::path& name : output.names(path)) {
    if (!output.is_folder()) {
      result[name.filename()] = read_text_file(name);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(name)) result[entry.path().filename()] = read_text_file(entry);
  }
  return result;
}

TEST(Output, BytesAndNamesAreThoseOfWhatIsWritten) {
  for (const char* name : {"llama_untied_sharded", "qwen3_moe"})
    for (const Case& what : cases()) {
      SCOPED_TRACE(fmt::format("{} {} {} {}", name, what.target, what.codecs.front(), what.shard_bytes));
      const Written written(name, what);
      const TemporaryFolder folder;
      const fs::path path = written.path(folder.path());
      LinearEncoder encoder(written.model(), written.codecs());
      written.output().write_whole(encoder, path, false);
      std::uint64_t bytes = 0;
      for (const auto& [file, text] : contents(written.output(), path)) bytes += text.size();
      EXPECT_EQ(written.output().bytes(), bytes);
      const std::vector<fs::path> names = written.output().names(path);
      EXPECT_EQ(names.size() > 1, !written.output().is_folder() && what.shard_bytes != 0);
      std::size_t found = 0;
      for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder.path())) ++found;
      EXPECT_EQ(found, names.size()) << "nothing else is left";
      EXPECT_EQ(existing_output(path, written.target()), names.front());
      EXPECT_EQ(model::Model::open(names.front(), written.target().fusion()).architecture().linears.size(),
                written.architecture().linears.size());
    }
}

std::vector<float> router_of(const model::Model& model, std::size_t block) {
  const model::Architecture& a = model.architecture();
  const model::LinearWeights weights = model.matrix(model::router_name(a, block), a.experts.count, a.hidden);
  std::vector<float> values(a.experts.count * a.hidden);
  for (std::size_t e = 0; e < a.experts.count; ++e)
    read_row(weights.view().dense, e, 0, a.hidden, values.data() + e * a.hidden);
  return values;
}

TEST(Output, RoutersInFloat32StayExactWhereRuntimesKeepThemSo) {
  for (const Case& what : cases()) {
    if (std::string_view(what.target) == "mlx") continue;  // it has none of the families that keep them
    SCOPED_TRACE(fmt::format("{} {} {}", what.target, what.codecs.front(), what.shard_bytes));
    const Written written("ernie4_5_moe", what);
    const TemporaryFolder folder;
    LinearEncoder encoder(written.model(), written.codecs());
    written.output().write_whole(encoder, written.path(folder.path()), false);
    const fs::path first = written.output().names(written.path(folder.path())).front();
    const model::Model back = model::Model::open(first, written.target().fusion());
    for (std::size_t b = 0; b < back.architecture().blocks; ++b)
      if (back.architecture().layout[b].mixture) {
        EXPECT_EQ(router_of(written.model(), b), router_of(back, b)) << b;
      }
  }
}

TEST(Output, AFileOfGgufSaysTheTypeThatMostWeightsHave) {
  // llama.h: 32 mostly BF16, 1 mostly F16, 0 all F32, 2 mostly Q4_0, 7 mostly Q8_0.
  for (const auto& [codec, file_type] : {std::pair{"keep", 32}, {"q4_0", 2}, {"q8_0", 7}}) {
    const Written written("llama_tied", {"llama.cpp", {codec}, 0});
    const TemporaryFolder folder;
    const fs::path path = written.path(folder.path());
    LinearEncoder encoder(written.model(), written.codecs());
    written.output().write_whole(encoder, path, false);
    EXPECT_EQ(format::GgufFile::open(path).integer("general.file_type"), file_type) << codec;
  }
  const Written written("llama_tied", {"llama.cpp", {"keep"}, 0});
  for (const auto& [dense, file_type] : {std::pair{DType::f16, 1}, {DType::f32, 0}}) {
    const TemporaryFolder folder;
    LinearEncoder encoder(written.model(), written.codecs());
    GgufFile(written.model(), written.codecs(), 0, dense).write_whole(encoder, folder.path() / "m.gguf", false);
    EXPECT_EQ(format::GgufFile::open(folder.path() / "m.gguf").integer("general.file_type"), file_type);
  }
}

TEST(Output, UnderOtherCodecsItIsTheOutputOfThese) {
  for (const Case& what : cases()) {
    const Written written("qwen3_moe", what);
    const Codecs keeps(written.codecs().size(), &codec::by_name("keep"));
    const std::uint64_t bytes =
        plan_output(written.model(), keeps, written.target(), what.shard_bytes)->with(written.codecs())->bytes();
    EXPECT_EQ(bytes, written.output().bytes());
  }
}

TEST(Output, WhatExistsIsReplacedOnlyOnRequest) {
  for (const char* target : {"vllm", "llama.cpp"}) {
    const Written written("llama_untied_sharded", {target, {"keep"}, 9000});
    const TemporaryFolder folder;
    const fs::path path = written.path(folder.path());
    const auto write = [&](bool overwrite) {
      LinearEncoder encoder(written.model(), written.codecs());
      return error_of([&] { written.output().write_whole(encoder, path, overwrite); });
    };
    EXPECT_EQ(write(false), "");
    const std::string refused = write(false);
    EXPECT_NE(refused.find("exists already; use --overwrite"), std::string::npos) << refused;
    EXPECT_NE(refused.find(written.output().names(path).front().string()), std::string::npos) << refused;
    EXPECT_EQ(write(true), "");
  }
}

TEST(Output, NothingOfAReplacedModelIsLeftInParts) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "out.gguf";
  const auto files_after = [&](std::uint64_t shard_bytes) {
    const Written written("llama_untied_sharded", {"llama.cpp", {"keep"}, shard_bytes});
    LinearEncoder encoder(written.model(), written.codecs());
    written.output().write_whole(encoder, path, true);
    const std::vector<fs::path> names = written.output().names(path);
    remove_replaced(path, written.target(), names, written.model());
    std::size_t files = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder.path())) ++files;
    EXPECT_EQ(files, names.size());
    return files;
  };
  EXPECT_GT(files_after(9000), files_after(30000));
  EXPECT_EQ(files_after(0), 1u);
  EXPECT_GT(files_after(9000), 1u) << "the one file before is gone too";

  const model::Model source = model::Model::open(existing_output(path, target_by_name("llama.cpp")));
  remove_replaced(path, target_by_name("llama.cpp"), {path}, source);
  EXPECT_TRUE(fs::exists(source.path())) << "a model that is read is not removed";
}

TEST(Output, AWeightThatTheTypeCannotHoldIsNamedAndNothingIsLeft) {
  TinyModel tiny("llama_tied");
  write_tokenizer(tiny.path());
  const std::string name = "model.layers.1.self_attn.k_proj.weight";
  const auto error = [&](const char* target, DType dense) {
    const TemporaryFolder folder;
    const model::Model model = model::Model::open(tiny.path());
    const Codecs keeps(model.architecture().linears.size(), &codec::by_name("keep"));
    LinearEncoder encoder(model, keeps);
    const std::string message = error_of([&] {
      plan_output(model, keeps, target_by_name(target), 0, dense)->write_whole(encoder, folder.path() / "out", false);
    });
    EXPECT_EQ(message.empty(), !fs::is_empty(folder.path()));
    return message;
  };
  tiny.set_element(name, 5 * 32 + 7, 70000.0f);
  EXPECT_EQ(error("llama.cpp", DType::bf16), "");
  EXPECT_EQ(error("llama.cpp", DType::f32), "");
  const std::string beyond = error("llama.cpp", DType::f16);
  EXPECT_NE(beyond.find(name + ": weight [5, 7] is "), std::string::npos) << beyond;
  EXPECT_NE(beyond.find(", beyond float16; use --type bf16"), std::string::npos) << beyond;
  tiny.set_element(name, 5 * 32 + 7, INFINITY);
  for (const DType dense : {DType::bf16, DType::f16, DType::f32}) {
    const std::string damaged = error("llama.cpp", dense);
    EXPECT_NE(damaged.find(name + ": weight [5, 7] is inf; the file is damaged"), std::string::npos) << damaged;
  }
  EXPECT_NE(error("vllm", DType::bf16).find(name + ": weight [5, 7] is inf; the file is damaged"), std::string::npos);
}

const json kJob = {{"job", "test"}};

/// The first lines of a text.
std::string lines(const std::string& text, std::size_t count) {
  std::size_t end = 0;
  while (count-- > 0) end = text.find('\n', end) + 1;
  return text.substr(0, end);
}

/// Makes the folder of a job that was killed after `notes` notes, from the folder of one that was not. Of the file that
/// was being written there is more than the last note tells.
void stop_after(std::size_t notes, const Output& output, const JobFolder& whole, const fs::path& stopped) {
  fs::create_directory(stopped);
  write_text_file(stopped / "journal", lines(read_text_file(whole.file("journal")), 1 + notes));
  std::map<std::string, std::uint64_t> noted;
  for (std::size_t n = 0; n < notes; ++n) noted[whole.finished()[n].at("file")] = whole.finished()[n].at("bytes");
  const std::string last = whole.finished()[notes - 1].at("file");
  const fs::path name = output.is_folder() ? whole.result().filename() : fs::path();
  fs::create_directories(stopped / name);
  for (const auto& [file, bytes] : noted) {
    const std::string text = read_text_file(whole.path() / name / file);
    if (file == last)
      write_text_file(stopped / name / (file + ".part"), text.substr(0, bytes) + "not noted");
    else
      write_text_file(stopped / name / file, text);
  }
}

bool same(const codec::Stored& a, const codec::Stored& b) {
  return std::ranges::equal(a.views, b.views, [](auto x, auto y) { return std::ranges::equal(x, y); });
}

/// Resumes a run that stopped after `notes` notes, and expects the linears and the bytes of the one that did not.
/// Returns the blocks that were stored.
std::size_t expect_resumed(const Written& written, const JobFolder& whole, std::size_t notes) {
  const TemporaryFolder folder;
  const fs::path target = folder.path() / whole.result().filename();
  stop_after(notes, written.output(), whole, folder.path() / whole.path().filename());
  JobFolder job(target, kJob, false, false);
  StoredParts parts(job, 1e9);
  const std::size_t blocks = stored_blocks(written.output(), written.architecture(), job.result(), parts);
  LinearEncoder nearest(written.model(), written.codecs());
  for (std::size_t l = 0; l < written.codecs().size(); ++l)
    if (written.architecture().linears[l].block < blocks && written.codecs()[l]->has_codes()) {
      EXPECT_TRUE(same(written.output().read(l, job.result()), *nearest.linear(l))) << "linear " << l;
    }
  EncodeOptions rest;
  rest.stored = [&](std::size_t l) -> const codec::Stored& {
    EXPECT_GE(written.architecture().linears[l].block, blocks) << "linear " << l << " is on disk already";
    return *nearest.linear(l);
  };
  LinearEncoder encoder(written.model(), written.codecs(), rest);
  written.output().write(encoder, job.result(), parts);
  EXPECT_EQ(contents(written.output(), job.result()), contents(written.output(), whole.result()));
  return blocks;
}

TEST(Output, ARunThatStoppedAtANoteIsResumedFromItsStoredLinears) {
  for (const char* name : {"llama_untied_sharded", "qwen3_moe"})
    for (const Case& what : cases()) {
      if (what.codecs.size() == 1) continue;
      const Written written(name, what);
      const TemporaryFolder folder;
      JobFolder whole(written.path(folder.path()), kJob, false, false);
      StoredParts parts(whole, 0.0);
      LinearEncoder encoder(written.model(), written.codecs());
      written.output().write(encoder, whole.result(), parts);
      const std::size_t notes = whole.finished().size(), step = std::max<std::size_t>(1, notes / 5);
      EXPECT_GT(notes, written.architecture().blocks);
      std::vector<std::size_t> blocks;
      for (std::size_t n = notes; n > 0; n -= std::min(n, step)) {
        SCOPED_TRACE(fmt::format("{} {} {}: {} notes", name, what.target, what.shard_bytes, n));
        blocks.push_back(expect_resumed(written, whole, n));
      }
      EXPECT_EQ(blocks.front(), written.architecture().blocks);
      EXPECT_LT(blocks.back(), written.architecture().blocks);
    }
}

TEST(StoredParts, NotesTellTheNewsAndWaitForTheirTime) {
  const TemporaryFolder folder;
  JobFolder job(folder.path() / "out", kJob, false, false);
  StoredParts often(job, 0.0), never(job, 1e9);
  EXPECT_TRUE(often.due());
  EXPECT_TRUE(often.due());
  EXPECT_FALSE(never.due());
  EXPECT_TRUE(often.news().is_null());
  often.set_news([] { return json::array({"a"}); });
  often.note("file", {3, 100}, often.news());
  often.note("file", {5, 200}, json::array({"b", "c"}));
  EXPECT_EQ(often.linears(), json::array({"a", "b", "c"}));
  const StoredParts later(job, 0.0);
  EXPECT_EQ(later.of("file").tensors, 5u);
  EXPECT_EQ(later.of("file").bytes, 200u);
  EXPECT_EQ(later.of("other").bytes, 0u);
}

TEST(StoredParts, SecondsBetweenNotesAreReadFromTheEnvironmentAndChecked) {
  EXPECT_EQ(seconds_between_notes(), 2.0);
  setenv("STRATA_NOTE_SECONDS", "0.5", 1);
  EXPECT_EQ(seconds_between_notes(), 0.5);
  for (const char* wrong : {"soon", "-1", "1s", "nan", "inf"}) {
    setenv("STRATA_NOTE_SECONDS", wrong, 1);
    EXPECT_NE(error_of(seconds_between_notes).find("STRATA_NOTE_SECONDS"), std::string::npos) << wrong;
  }
  unsetenv("STRATA_NOTE_SECONDS");
}

/// A folder of a model with parts that are not run and files beside its weights, written by uniform int4_g32 or kept.
class CarriedOutput {
 public:
  explicit CarriedOutput(const char* codec) : tiny_("llama_tied") {
    tiny_.configure({{"num_nextn_predict_layers", 1}});
    tiny_.add("visual.blocks.0.weight", "F16", {3000}, visual_);
    tiny_.add("visual.table", "I64", {1}, "12345678");
    tiny_.add("model.layers.2.mlp.up_proj.weight", "F8_E4M3", {2, 2}, "abcd");
    tiny_.add("score.weight", "F32", {1}, "1234");
    write_text_file(tiny_.path() / "README.md", "the original's card");
    write_text_file(tiny_.path() / "tokenizer.model", std::string("\0\xFF\r\n", 4));
    fs::create_directory(tiny_.path() / "additional_chat_templates");
    write_text_file(tiny_.path() / "additional_chat_templates" / "tool_use.jinja", "{{ tools }}");
    model_.emplace(model::Model::open(tiny_.path()));
    const Codecs codecs(model_->architecture().linears.size(), &codec::by_name(codec));
    output_ = plan_output(*model_, codecs, target_by_name("vllm"), 4000);
    LinearEncoder encoder(*model_, codecs);
    output_->write_whole(encoder, path(), false);
  }
  fs::path path() const { return folder_ / "out"; }
  std::string text(const char* name) const { return read_text_file(path() / name); }
  const Output& output() const { return *output_; }
  const std::string& visual() const { return visual_; }

 private:
  TinyModel tiny_;
  TemporaryFolder folder_;
  std::string visual_ = std::string(6000, 'v');
  std::optional<model::Model> model_;
  std::unique_ptr<Output> output_;
};

TEST(Output, PartsThatAreNotRunAndFilesBesideTheWeightsAreCarriedByteForByte) {
  for (const char* codec : {"int4_g32", "keep"}) {
    SCOPED_TRACE(codec);
    const CarriedOutput written(codec);
    std::uint64_t bytes = 0;
    for (const auto& entry : fs::recursive_directory_iterator(written.path()))
      if (entry.is_regular_file()) bytes += entry.file_size();
    EXPECT_EQ(written.output().bytes(), bytes);
    EXPECT_EQ(written.text("tokenizer.model"), std::string("\0\xFF\r\n", 4));
    EXPECT_EQ(written.text("additional_chat_templates/tool_use.jinja"), "{{ tools }}");
    const model::Model read = model::Model::open(written.path());
    EXPECT_EQ(read.carried().size(), 4u);
    const auto raw = [&](const char* name) {
      const std::span<const std::byte> data = read.raw(name);
      return std::string(reinterpret_cast<const char*>(data.data()), data.size());
    };
    EXPECT_EQ(raw("visual.blocks.0.weight"), written.visual());
    EXPECT_EQ(raw("visual.table"), "12345678");
    EXPECT_EQ(raw("model.layers.2.mlp.up_proj.weight"), "abcd");
    EXPECT_EQ(read.config()["num_nextn_predict_layers"], 1);
  }
}

TEST(Output, CarriedModulesAreIgnoredByTheRuntimeAndTheSourcesCardIsKept) {
  const CarriedOutput quantized("int4_g32"), kept("keep");
  const json config = json::parse(quantized.text("config.json"));
  const auto ignore = config["quantization_config"]["ignore"].get<std::vector<std::string>>();
  for (const char* pattern : {"re:.*\\bvisual\\b", "re:.*\\bscore\\b", "re:.*\\blayers\\.2\\b"})
    EXPECT_EQ(std::ranges::count(ignore, pattern), 1) << pattern;
  EXPECT_EQ(quantized.text("README.base.md"), "the original's card");
  EXPECT_EQ(quantized.text("README.md").size(), 4096u);
  EXPECT_EQ(kept.text("README.md"), "the original's card") << "nothing was quantized";
}

}  // namespace output_test
}  // namespace strata::pipeline
