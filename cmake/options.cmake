# Compile options shared by every target: warnings are errors, no contraction of floating point, never fast-math.
add_library(strata_options INTERFACE)
target_include_directories(strata_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(strata_options INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wno-sign-conversion -Wshadow -Werror -ffp-contract=off)
# The same objects make the programs and the Python module. Hidden symbols cannot be replaced at run time, so that the
# compiler inlines and calls them as in code that is for programs alone.
target_compile_options(strata_options INTERFACE -fPIC -fvisibility=hidden)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports its own intrinsic headers and std::string here (GCC bugs 105593 and 105329).
  target_compile_options(strata_options INTERFACE -Wno-maybe-uninitialized -Wno-psabi -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds)
endif()

if(STRATA_SANITIZE)
  target_compile_options(strata_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(strata_options INTERFACE -fsanitize=address,undefined)
  # Four checks double the time to compile. The layers that read what strangers wrote (READERS in CMakeLists.txt) have them:
  # they end a program only where UBSAN_OPTIONS has halt_on_error=1, as when readers are fuzzed.
  set(slow_checks null,alignment,object-size,vptr)
  set(is_reader $<BOOL:$<TARGET_PROPERTY:STRATA_READERS>>)
  target_compile_options(strata_options INTERFACE
    $<${is_reader}:-fsanitize-recover=${slow_checks}> $<$<NOT:${is_reader}>:-fno-sanitize=${slow_checks}> -fsanitize-recover=pointer-overflow)
  if(STRATA_FUZZ)
    # What libFuzzer is led by, as code generation alone: -fsanitize=fuzzer-no-link would forbid shared precompiled headers.
    target_compile_options(strata_options INTERFACE
      $<${is_reader}:-fsanitize-coverage=inline-8bit-counters,pc-table,trace-cmp,indirect-calls>)
  endif()
endif()

# The headers that cost most to read are read once: strata_precompiled(TARGET SET) reuses those that every file needs,
# and those of the set where it has any (tests: GoogleTest). Sets without inner loops are compiled at -O1,
# for a quick build: tests, and the layers that are QUICK in CMakeLists.txt.
set(STRATA_HEADERS <nlohmann/json.hpp> <fmt/format.h> <fmt/ranges.h> <algorithm> <filesystem> <functional> <map> <string> <vector>)
set(STRATA_HEADERS_tests <gtest/gtest.h>)
set(STRATA_LINKS_tests GTest::gtest)
set(STRATA_OPTIONS_tests $<$<CONFIG:Release>:-O1>)
set(STRATA_OPTIONS_quick $<$<CONFIG:Release>:-O1>)

function(strata_precompiled target set)
  set(headers strata_headers)
  if(DEFINED STRATA_OPTIONS_${set})
    set(headers strata_headers_${set})
  endif()
  if(NOT TARGET ${headers})
    find_package(fmt 9 REQUIRED)
    find_package(nlohmann_json 3.11 REQUIRED)
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/${headers}.cpp CONTENT "// Carries the precompiled headers.\n")
    add_library(${headers} OBJECT ${CMAKE_BINARY_DIR}/${headers}.cpp)
    target_link_libraries(${headers} PRIVATE strata_options fmt::fmt nlohmann_json::nlohmann_json ${STRATA_LINKS_${set}})
    target_compile_options(${headers} PRIVATE ${STRATA_OPTIONS_${set}})
    target_precompile_headers(${headers} PRIVATE ${STRATA_HEADERS} ${STRATA_HEADERS_${set}})
  endif()
  target_compile_options(${target} PRIVATE ${STRATA_OPTIONS_${set}})
  target_precompile_headers(${target} REUSE_FROM ${headers})
endfunction()
