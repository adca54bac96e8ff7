// The page of a report: the HTML that web/report builds, with a report's data put into it.
// The page asks the network for nothing; the data in it cannot end its script, whatever it says.
#pragma once
#include <string>
#include <string_view>

#include "core/json.h"

namespace strata::pipeline {

/// The page as it is embedded, without data; empty when the program was built with STRATA_REPORT=OFF.
std::string_view report_page();

/// Writes data as a text that may stand in a <script> of an HTML page: JSON without '<', '>', '&' and the two line ends
/// that only JavaScript knows; bytes that are no UTF-8 become U+FFFD.
std::string script_json(const json& data);

/// Puts data (docs/files.md, "report.json") into the page. Throws Error when there is no page to fill in.
std::string render_report(const json& data);

}  // namespace strata::pipeline
