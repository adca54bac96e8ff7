# MPI's C interface, for src/core/ranks_mpi.cpp alone. Without it strata runs on one machine. The Python module is part of a
# program that has processes of its own, and never has it.
set(STRATA_MPI_LIBRARY)
if(STRATA_MPI AND NOT STRATA_PYTHON)
  find_package(MPI COMPONENTS C)
endif()
if(MPI_C_FOUND)
  set(STRATA_MPI_LIBRARY ${MPI_C_LIBRARIES})
  list(TRANSFORM MPI_C_INCLUDE_DIRS PREPEND "-isystem;" OUTPUT_VARIABLE mpi_headers)
  set_source_files_properties(src/core/ranks_mpi.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON
    COMPILE_DEFINITIONS "STRATA_MPI;OMPI_SKIP_MPICXX" COMPILE_OPTIONS "${mpi_headers}")
  message(STATUS "MPI: ${MPI_C_LIBRARIES}")
else()
  message(STATUS "MPI: left out, so strata runs on one machine")
endif()
