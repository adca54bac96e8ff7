// Sizes as users write them, for the options of the command line.
// Errors name the option.
#pragma once
#include <cstdint>
#include <string>

namespace strata::pipeline {

/// Bytes of a size like "90MiB", "8 GB", "12345". Throws UsageError naming `option`.
std::uint64_t parse_size(const std::string& text, const std::string& option);

}  // namespace strata::pipeline
