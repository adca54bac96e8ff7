// Tiny models with costs made up here, for the tests of planning; no calibration is involved.
#pragma once
#include <cmath>
#include <filesystem>
#include <optional>
#include <utility>

#include "core/file.h"
#include "pipeline/choose/planner.h"
#include "support/tiny_model.h"

namespace strata::pipeline {

inline model::Model tiny(const char* name = "llama_tied") {
  return model::Model::open(std::filesystem::path(STRATA_TEST_DATA) / "golden/models" / name);
}

/// A cost that falls with the bits and rises with the block, for every codec that fits.
inline Costs made_up_costs(const model::Model& model) {
  const model::Architecture& a = model.architecture();
  Costs costs;
  costs.signal = "made up";
  for (const model::Linear& linear : a.linears) {
    std::map<const codec::Codec*, double> row;
    for (const codec::Codec& codec : codec::all()) {
      if (!codec::why_not(codec, linear.rows, linear.cols).empty()) continue;
      const double bits = 8.0 * static_cast<double>(codec::stored_bytes(codec, linear.rows, linear.cols)) /
                          static_cast<double>(linear.rows * linear.cols);
      row[&codec] = !codec.has_codes() ? 0.0 : std::exp2(-2.0 * bits) * static_cast<double>(linear.block % 7 + 1);
    }
    costs.linears.push_back(std::move(row));
  }
  costs.blocks["lim"] = {};
  for (std::size_t b = 0; b < a.blocks; ++b) costs.blocks["lim"].push_back(static_cast<double>(b));
  return costs;
}

/// Why no plan can be made; empty when one can.
inline std::string plan_error(const model::Model& model, const char* target, const PlanRequest& request) {
  try {
    make_plan({model, target_by_name(target), request, made_up_costs(model)});
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

/// A tiny model with a vocabulary, which a GGUF file cannot do without.
class TinyForGguf {
 public:
  explicit TinyForGguf(const char* name = "llama_tied") {
    const auto golden = std::filesystem::path(STRATA_TEST_DATA) / "golden/models" / name;
    std::filesystem::copy(golden, folder_.path(), std::filesystem::copy_options::recursive);
    write_text_file(folder_.path() / "tokenizer.json",
                    R"({"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}})");
    model_.emplace(model::Model::open(folder_.path(), model::Fusion::single));
  }
  const model::Model& operator*() const { return *model_; }

 private:
  ::strata::fixtures::TemporaryFolder folder_;
  std::optional<model::Model> model_;
};

}  // namespace strata::pipeline
