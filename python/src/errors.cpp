// Failures of the C++ side as Python exceptions, with the same sentences.
// The latest translator is asked first, so that the special kinds come after the general one.
#include "core/error.h"
#include "core/interrupt.h"
#include "module.h"

namespace nb = nanobind;

namespace strata::python {

void add_errors(nb::module_& module) {
  const nb::exception<Error> error(module, "Error");
  const nb::exception<UsageError> usage(module, "UsageError", error);
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const Interrupted&) {
      PyErr_SetNone(PyExc_KeyboardInterrupt);
    }
  });
}

}  // namespace strata::python
