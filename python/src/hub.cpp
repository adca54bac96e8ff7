// Where a model lies that is named on the hub, for strata.open: what is not here yet is fetched, with progress.
// The jobs take such names themselves.
#include <nanobind/stl/string.h>

#include "hub/model_argument.h"
#include "module.h"
#include "python_listener.h"

namespace nb = nanobind;

namespace strata::python {

void add_hub(nb::module_& module) {
  module.def(
      "model_path",
      [](const std::string& argument, nb::handle listener, bool interruptible) {
        return while_told(listener, interruptible, [&](PythonListener&) { return hub::model_path(argument).string(); });
      },
      nb::arg("argument"), nb::arg("listener"), nb::arg("interruptible"),
      "The folder or GGUF file that the argument names. interruptible: Ctrl-C stops it; for the main thread only.");
}

}  // namespace strata::python
