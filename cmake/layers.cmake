# One static library a layer: strata_layer(codec USES strata_core) builds src/codec/*.cpp and the rooms in it.
# READERS: a layer that reads files and answers, which fuzz targets run; sanitizers check more there (cmake/options.cmake).
# QUICK: a layer without inner loops of its own. Release builds compile it at -O1, which takes half the time of -O3.
# A file whose name ends in _avx2, _avx512, _avx512bf16 or _amx is compiled for that instruction set, whatever the CPU here.
set(STRATA_FLAGS_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(STRATA_FLAGS_avx512 ${STRATA_FLAGS_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl)
set(STRATA_FLAGS_avx512bf16 ${STRATA_FLAGS_avx512} -mavx512bf16 -mavx512vnni)
set(STRATA_FLAGS_amx ${STRATA_FLAGS_avx512bf16} -mamx-tile -mamx-bf16)

# Compilers and assemblers older than 2021 do not know AMX, and only Linux is asked for it: elsewhere strata goes without.
include(CheckCXXSourceCompiles)
list(JOIN STRATA_FLAGS_amx " " CMAKE_REQUIRED_FLAGS)
check_cxx_source_compiles([[int main() { asm volatile("tdpbf16ps %tmm2, %tmm1, %tmm0"); }]] STRATA_COMPILES_AMX)
unset(CMAKE_REQUIRED_FLAGS)
set(STRATA_AMX OFF)
if(STRATA_COMPILES_AMX AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  set(STRATA_AMX ON)
  set_property(SOURCE src/core/cpu.cpp src/kernel/dispatch.cpp APPEND PROPERTY COMPILE_DEFINITIONS STRATA_AMX)
endif()

function(strata_isa_flags)
  foreach(source IN LISTS ARGN)
    get_filename_component(stem ${source} NAME_WE)
    if(stem STREQUAL "variant_portable")  # its unrolled loops take GCC more than a minute at -O3
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "$<$<CONFIG:Release>:-O2>")
    endif()
    foreach(isa avx2 avx512 avx512bf16 amx)
      if(stem MATCHES "_${isa}$")
        set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${STRATA_FLAGS_${isa}}" SKIP_PRECOMPILE_HEADERS ON)
      endif()
    endforeach()
  endforeach()
endfunction()

# With CMAKE_UNITY_BUILD, as in the presets, eight files are compiled as one, which reads their headers and makes what is
# in templates once: a fresh build takes half the time. -DCMAKE_UNITY_BUILD=OFF builds a single changed file faster.
# Files that are alike, such as those of the verbs or of the mixers, have private functions of the same names. They are
# compiled one by one, and so are the layers with inner loops.
set(STRATA_ALIKE /src/cli/ /mixers/ /signals/ /presets/ families)
set(STRATA_INNER_LOOPS codec kernel)

function(strata_unity target name)
  if(name IN_LIST STRATA_INNER_LOOPS)
    set_target_properties(${target} PROPERTIES UNITY_BUILD OFF)
    # At -O1, as in the preset debug, clang inlines none of the small functions that inner loops are made of.
    target_compile_options(${target} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O2>)
  endif()
  foreach(source IN LISTS ARGN)
    foreach(alike IN LISTS STRATA_ALIKE)
      if(source MATCHES ${alike})
        set_source_files_properties(${source} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
      endif()
    endforeach()
  endforeach()
endfunction()

function(strata_layer name)
  cmake_parse_arguments(arg "QUICK;READERS" "" "USES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp)
  list(REMOVE_ITEM sources ${CMAKE_SOURCE_DIR}/src/cli/main.cpp)
  if(NOT STRATA_AMX)
    list(FILTER sources EXCLUDE REGEX "_amx[.]cpp$")
  endif()
  if(sources)
    strata_isa_flags(${sources})
    add_library(strata_${name} STATIC ${sources})
    set_target_properties(strata_${name} PROPERTIES STRATA_READERS ${arg_READERS})
    strata_unity(strata_${name} ${name} ${sources})
    target_link_libraries(strata_${name} PUBLIC strata_options ${arg_USES})
    if(arg_QUICK AND NOT DEFINED STRATA_HEADERS_${name})
      strata_precompiled(strata_${name} quick)
    else()
      strata_precompiled(strata_${name} ${name})
    endif()
  else()
    add_library(strata_${name} INTERFACE)
    target_link_libraries(strata_${name} INTERFACE strata_options ${arg_USES})
  endif()
endfunction()
