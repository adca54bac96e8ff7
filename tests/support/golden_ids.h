// Holding a tokenizer against tests/golden/tokenizer_ids.json: ids of short texts, hashes of the ids of whole files.
// Made by tests/golden/make_tokenizer_goldens.py.
#pragma once
#include <gtest/gtest.h>

#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "model/tokenizer.h"

namespace strata::model {

inline json golden_ids(const char* tokenizer) {
  return read_json_file(STRATA_TEST_DATA "/golden/tokenizer_ids.json")[tokenizer];
}

inline void expect_golden_samples(const Tokenizer& tokenizer, const json& golden) {
  ASSERT_GE(golden["samples"].size(), 20u);
  for (const json& sample : golden["samples"]) {
    const auto text = sample["text"].get<std::string>();
    const auto ids = sample["ids"].get<std::vector<std::uint32_t>>();
    EXPECT_EQ(tokenizer.encode(text), ids) << text;
    EXPECT_EQ(tokenizer.decode(ids), sample["decoded"].get<std::string>()) << text;
  }
}

/// Files of the shared texts up to a size, to bound the time. Returns how many were there.
inline std::size_t expect_golden_files(const Tokenizer& tokenizer, const json& golden, std::uintmax_t limit_bytes) {
  std::size_t seen = 0;
  for (const auto& [name, expected] : golden["files"].items()) {
    const std::filesystem::path path = std::filesystem::path(STRATA_SHARED) / "data/text" / name;
    if (!std::filesystem::exists(path) || std::filesystem::file_size(path) > limit_bytes) continue;
    ++seen;
    const std::vector<std::uint32_t> ids = tokenizer.encode(read_text_file(path));
    EXPECT_EQ(ids.size(), expected["count"].get<std::size_t>()) << name;
    // The machine is little-endian (core/file.h relies on it too), so the ids' bytes are those of the golden.
    EXPECT_EQ(fmt::format("{:016x}", fnv1a(std::as_bytes(std::span(ids)))), expected["fnv1a"].get<std::string>())
        << name;
  }
  return seen;
}

}  // namespace strata::model
