# The page of `strata report` (web/report, Vite and ECharts) as one HTML file inside the program.
# STRATA_REPORT=OFF builds without it, and without Node: the program then writes report data, but no page.
option(STRATA_REPORT "Embed the page of `strata report` (needs npm)" ON)

set(report_assembly ${CMAKE_BINARY_DIR}/report_page.S)
if(STRATA_REPORT)
  find_program(NPM npm)
  if(NOT NPM)
    message(FATAL_ERROR "npm is missing: it builds the page of `strata report`. Install it (scripts/setup.sh does), or configure with -DSTRATA_REPORT=OFF to build strata without that page.")
  endif()
  set(report_html ${CMAKE_BINARY_DIR}/report/index.html)
  set(report_source ${CMAKE_SOURCE_DIR}/web/report)
  file(GLOB report_inputs CONFIGURE_DEPENDS ${report_source}/src/* ${report_source}/*.html ${report_source}/*.js ${report_source}/*.json)
  add_custom_command(
    OUTPUT ${report_html}
    COMMAND ${CMAKE_COMMAND} -DNPM=${NPM} -DSOURCE=${report_source} -DOUTPUT=${CMAKE_BINARY_DIR}/report
            -P ${CMAKE_SOURCE_DIR}/cmake/build_report.cmake
    DEPENDS ${report_inputs} ${CMAKE_SOURCE_DIR}/cmake/build_report.cmake
    COMMENT "Building the report page" VERBATIM)
  set(report_embed ".incbin \"${report_html}\"")
else()
  set(report_html "")
  set(report_embed "")
endif()

enable_language(ASM)
file(CONFIGURE OUTPUT ${report_assembly} CONTENT [[
.section .rodata
.global strata_report_page
.global strata_report_page_end
strata_report_page:
@report_embed@
strata_report_page_end:
.byte 0
.section .note.GNU-stack,"",%progbits
]] @ONLY)
set_source_files_properties(${report_assembly} PROPERTIES OBJECT_DEPENDS "${report_html}")
add_library(strata_report_page STATIC ${report_assembly})
