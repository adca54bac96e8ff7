// Puts data into the embedded page.
// The page holds one marker, where a string literal of the data's script would stand.
#include "pipeline/report/page.h"

// Defined by cmake/report.cmake around the file itself.
extern "C" {
extern const char strata_report_page[];
extern const char strata_report_page_end[];
}

namespace strata::pipeline {
namespace {

constexpr std::string_view kMarker = "\"STRATA_REPORT_DATA\"";

}  // namespace

std::string_view report_page() { return {strata_report_page, strata_report_page_end}; }

std::string script_json(const json& data) {
  const std::string text = json_text(data);
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '<' || c == '>' || c == '&')
      result += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else if (text.compare(i, 2, "\xE2\x80") == 0 && i + 2 < text.size() && (text[i + 2] | 1) == '\xA9') {
      result += text[i + 2] == '\xA8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      result += c;
    }
  }
  return result;
}

std::string render_report(const json& data) {
  const std::string_view page = report_page();
  if (page.empty())
    fail("this strata was built without the report page; build it with cmake -DSTRATA_REPORT=ON, which needs npm");
  const std::size_t at = page.find(kMarker);
  STRATA_CHECK(at != std::string_view::npos, "the page has no place for data");
  std::string result(page.substr(0, at));
  result += script_json(data);
  result += page.substr(at + kMarker.size());
  return result;
}

}  // namespace strata::pipeline
