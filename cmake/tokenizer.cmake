# The Rust crate under tokenizer/ as a static library with a C interface (tokenizer/strata_tokenizer.h).
find_program(CARGO cargo HINTS $ENV{HOME}/.cargo/bin REQUIRED)
set(tokenizer_target_dir ${CMAKE_BINARY_DIR}/cargo)
if(DEFINED ENV{STRATA_CARGO_TARGET_DIR})
  set(tokenizer_target_dir $ENV{STRATA_CARGO_TARGET_DIR})
endif()
set(tokenizer_library ${tokenizer_target_dir}/release/libstrata_tokenizer.a)
file(GLOB tokenizer_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tokenizer/src/*.rs)
add_custom_command(
  OUTPUT ${tokenizer_library}
  COMMAND ${CARGO} build --release --locked --quiet --target-dir ${tokenizer_target_dir}
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}/tokenizer
  DEPENDS ${tokenizer_sources} ${CMAKE_SOURCE_DIR}/tokenizer/Cargo.toml ${CMAKE_SOURCE_DIR}/tokenizer/Cargo.lock
  COMMENT "Building the tokenizer crate" VERBATIM)
add_custom_target(tokenizer_crate DEPENDS ${tokenizer_library})
add_library(strata_tokenizer INTERFACE)
add_dependencies(strata_tokenizer tokenizer_crate)
target_include_directories(strata_tokenizer INTERFACE ${CMAKE_SOURCE_DIR}/tokenizer)
find_package(Threads REQUIRED)
target_link_libraries(strata_tokenizer INTERFACE ${tokenizer_library} Threads::Threads ${CMAKE_DL_LIBS} m)
