// What the system is told about how parts of mapped files will be read, besides MappedFile's drop and will_need.
// None of it changes what is read.
#pragma once
#include <cstddef>
#include <span>

namespace strata {

/// Single places of these pages will be read: nothing around them is to be read ahead.
void expect_samples(std::span<const std::byte> part);
/// Takes that back.
void expect_order(std::span<const std::byte> part);
/// Begins to read all pages that the part touches, however small it is.
void fetch_pages(std::span<const std::byte> part);

}  // namespace strata
