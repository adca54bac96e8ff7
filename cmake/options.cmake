# Compile options shared by every target: warnings are errors, no contraction of floating point, never fast-math.
add_library(strata_options INTERFACE)
target_include_directories(strata_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(strata_options INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wno-sign-conversion -Wshadow -Werror -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports its own intrinsic headers and std::string here (GCC bugs 105593 and 105329).
  target_compile_options(strata_options INTERFACE -Wno-maybe-uninitialized -Wno-psabi -Wno-restrict)
endif()

if(STRATA_SANITIZE)
  target_compile_options(strata_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(strata_options INTERFACE -fsanitize=address,undefined)
endif()
if(STRATA_FUZZ)
  target_compile_options(strata_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
