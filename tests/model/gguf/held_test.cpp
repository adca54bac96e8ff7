// What a GGUF file holds the linears of a model in, whoever wrote it. Files of our own, of every family:
// tests/pipeline/output/gguf_families_test.cpp.
#include "model/gguf/held.h"

#include <gtest/gtest.h>

#include <functional>

#include "model/model.h"
#include "support/error_of.h"
#include "support/golden_model.h"

namespace strata::model {
namespace held_test {

constexpr std::uint32_t kF32 = 0, kQ8_0 = 8, kUnknown = 99;

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// A file that is not on disk.
class MadeFile {
 public:
  explicit MadeFile(std::size_t blocks) {
    content_.metadata["general.architecture"] = std::string("llama");
    content_.metadata["llama.block_count"] = std::uint64_t{blocks};
  }
  void key(const std::string& name, std::uint64_t value) { content_.metadata[name] = value; }
  /// Adds a tensor, or puts it in another's place.
  void tensor(const std::string& name, std::uint32_t type, std::vector<std::uint64_t> shape) {
    remove(name);
    std::uint64_t weights = 1;
    for (const std::uint64_t extent : shape) weights *= extent;
    const format::GgmlType* const kind = format::find_ggml_type(type);
    const std::uint64_t bytes = kind == nullptr ? 0 : weights / kind->block_weights * kind->block_bytes;
    content_.tensors.push_back({name, type, std::move(shape), std::span(zeros_).first(bytes)});
  }
  void remove(const std::string& name) {
    std::erase_if(content_.tensors, [&](const format::GgufTensor& t) { return t.name == name; });
  }
  std::vector<HeldLinear> held(const Architecture& a) const {
    return held_linears(a, format::GgufFile(content_, "made.gguf"), "made.gguf");
  }

 private:
  std::vector<std::byte> zeros_ = std::vector<std::byte>(1 << 20);
  format::GgufContent content_;
};

/// Every matrix of a golden model of family llama or mixtral in Q8_0; those of experts are left out.
MadeFile file_of(const Architecture& a) {
  MadeFile file(a.blocks);
  for (std::size_t b = 0; b < a.blocks; ++b)
    for (const auto& [role, name] : {std::pair{Role::q, "attn_q"},
                                     {Role::k, "attn_k"},
                                     {Role::v, "attn_v"},
                                     {Role::o, "attn_output"},
                                     {Role::gate, "ffn_gate"},
                                     {Role::up, "ffn_up"},
                                     {Role::down, "ffn_down"}})
      if (a.has(b, role))
        file.tensor(fmt::format("blk.{}.{}.weight", b, name), kQ8_0, {a.linear(b, role).rows, a.linear(b, role).cols});
  file.tensor("token_embd.weight", kQ8_0, {a.vocab, a.hidden});
  if (!a.tied) file.tensor("output.weight", kQ8_0, {a.vocab, a.hidden});
  return file;
}

Architecture golden(const char* name) { return Model::open(golden_model(name), Fusion::single).architecture(); }

std::uint64_t in_q8_0(const Linear& linear) { return linear.rows * linear.cols / 32 * 34; }

TEST(HeldLinears, AreThoseOfTheFile) {
  const Architecture a = golden("llama_tied");
  MadeFile file = file_of(a);
  const std::size_t q = a.index(1, Role::q);
  file.tensor("blk.1.attn_q.weight", kF32, {a.linears[q].rows, a.linears[q].cols});
  const std::vector<HeldLinear> held = file.held(a);
  for (std::size_t l = 0; l < a.linears.size(); ++l) {
    EXPECT_EQ(held[l].type, l == q ? kF32 : kQ8_0);
    EXPECT_EQ(held[l].bytes, l == q ? 4 * a.linears[l].rows * a.linears[l].cols : in_q8_0(a.linears[l]));
  }
}

TEST(HeldLinears, AnEmbeddingThatIsThereTwiceCountsTwice) {
  const Architecture a = golden("llama_tied");
  MadeFile file = file_of(a);
  file.tensor("output.weight", kF32, {a.vocab, a.hidden});
  const HeldLinear embedding = file.held(a)[a.embedding()];
  EXPECT_EQ(embedding.type, kF32) << "the larger one's";
  EXPECT_EQ(embedding.bytes, in_q8_0(a.linears[a.embedding()]) + 4 * a.vocab * a.hidden);
}

TEST(HeldLinears, AFileOfAnotherModelIsRefused) {
  const Architecture a = golden("llama_tied");
  const auto refused = [&](const std::function<void(MadeFile&)>& change, const char* part) {
    MadeFile file = file_of(a);
    change(file);
    const std::string text = error_of([&] { file.held(a); });
    EXPECT_TRUE(holds(text, part)) << text;
    EXPECT_TRUE(text.starts_with("made.gguf: ")) << text;
  };
  refused([](MadeFile& f) { f.remove("blk.0.attn_q.weight"); }, "another model: blk.0.attn_q.weight is missing");
  refused([](MadeFile& f) { f.tensor("blk.0.attn_q.weight", kQ8_0, {64, 64}); }, "has shape [64, 64], this one's has");
  refused([](MadeFile& f) { f.key("llama.block_count", 7); }, "it has 7 blocks, this one 2");
  refused(
      [&](MadeFile& f) {
        f.tensor("blk.0.attn_q.weight", kUnknown, {a.q_size(), a.hidden});
      },
      "type 99, which is not known here");
  MadeFile ahead = file_of(a);
  ahead.key("llama.block_count", a.blocks + 1);
  ahead.key("llama.nextn_predict_layers", 1);
  EXPECT_EQ(ahead.held(a).size(), a.linears.size()) << "a block that predicts several tokens at once";
}

TEST(HeldLinears, ExpertsMayBeStackedOrNot) {
  const Architecture a = golden("mixtral");
  const std::uint64_t count = a.experts.count, size = a.experts.intermediate, hidden = a.hidden;
  const auto check = [&](const MadeFile& file) {
    const std::vector<HeldLinear> held = file.held(a);
    for (std::size_t l = 0; l < a.linears.size(); ++l)
      EXPECT_EQ(held[l].bytes, in_q8_0(a.linears[l])) << a.linears[l].module;
  };
  MadeFile stacked = file_of(a), paired = file_of(a), singles = file_of(a);
  for (std::size_t b = 0; b < a.blocks; ++b) {
    const auto name = [&](std::string_view part) { return fmt::format("blk.{}.ffn_{}.weight", b, part); };
    stacked.tensor(name("gate_exps"), kQ8_0, {count, size, hidden});
    stacked.tensor(name("up_exps"), kQ8_0, {count, size, hidden});
    stacked.tensor(name("down_exps"), kQ8_0, {count, hidden, size});
    paired.tensor(name("gate_up_exps"), kQ8_0, {count, 2 * size, hidden});
    paired.tensor(name("down_exps"), kQ8_0, {count, hidden, size});
    for (std::size_t e = 0; e < count; ++e) {
      singles.tensor(name(fmt::format("gate.{}", e)), kQ8_0, {size, hidden});
      singles.tensor(name(fmt::format("up.{}", e)), kQ8_0, {size, hidden});
      singles.tensor(name(fmt::format("down.{}", e)), kQ8_0, {hidden, size});
    }
  }
  check(stacked);
  check(paired);
  check(singles);
  stacked.tensor("blk.0.ffn_up_exps.weight", kQ8_0, {count + 1, size, hidden});
  EXPECT_TRUE(holds(error_of([&] { stacked.held(a); }), "blk.0.ffn_up_exps.weight has shape"));
  stacked.remove("blk.0.ffn_up_exps.weight");
  EXPECT_TRUE(holds(error_of([&] { stacked.held(a); }), "blk.0.ffn_up_exps.weight is missing"));
}

}  // namespace held_test
}  // namespace strata::model
