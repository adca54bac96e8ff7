// Calls from C++ into Python.
// The end of a stage may come while an exception is on its way, so that what its call raises can only be shown.
#include "python_listener.h"

namespace nb = nanobind;

namespace strata::python {
namespace {

/// Names of files, which remarks may hold, need not be UTF-8.
nb::str text_of(const std::string& text) {
  return nb::steal<nb::str>(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
}

}  // namespace

void PythonListener::on_resume(const std::filesystem::path& folder) {
  on_remark("resuming the work in " + folder.string());
}

void PythonListener::on_remark(const std::string& text) {
  const nb::gil_scoped_acquire gil;
  listener_.attr("on_remark")(text_of(text));
}

void PythonListener::on_progress(const std::string& label, std::size_t done, std::size_t total) {
  const nb::gil_scoped_acquire gil;
  listener_.attr("on_progress")(text_of(label), done, total);
}

void PythonListener::on_end(const std::string& label) noexcept {
  const nb::gil_scoped_acquire gil;
  try {
    listener_.attr("on_end")(text_of(label));
  } catch (nb::python_error& raised) {
    raised.discard_as_unraisable("strata: the end of a stage");
  }
}

}  // namespace strata::python
