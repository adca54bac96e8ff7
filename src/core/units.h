// Sizes and durations as text for people, and as people write them.
// Binary units are KiB, MiB ...; what is read may be decimal (MB, GB) too.
#pragma once
#include <cstdint>
#include <string>

namespace strata {

/// "1023 bytes", "12.3 MiB".
std::string human_bytes(std::uint64_t bytes);
/// "4.2 s", "12 s", "5 min", "3.2 h".
std::string human_seconds(double seconds);

/// Bytes of a size like "90MiB", "8 GB", "12345". Throws UsageError naming `option`.
std::uint64_t parse_bytes(const std::string& text, const std::string& option);
/// Seconds of a time like "90", "90s", "1.5m", "1h". Throws UsageError naming `option`.
double parse_seconds(const std::string& text, const std::string& option);

}  // namespace strata
