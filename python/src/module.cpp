// The module strata._core: everything of the C++ side that Python needs, in plain types and JSON.
// python/strata makes of it what a person calls.
#include "module.h"

#include "core/cpu.h"
#include "core/threads.h"

namespace nb = nanobind;

NB_MODULE(_core, module) {
  module.doc() = "The C++ side of strata in plain types. Use the package strata, which stands on it.";
  module.attr("version") = STRATA_VERSION;
  strata::python::add_errors(module);
  strata::python::add_hub(module);
  strata::python::add_jobs(module);
  strata::python::add_model(module);
  strata::python::add_reports(module);
  module.def("threads", &strata::thread_count, "Threads that work runs on.");
  module.def("set_threads", &strata::set_thread_count, nb::arg("count"),
             "Sets how many threads work runs on; 0 stands for all CPUs. Their number never changes a result.");
  strata::selected_isa();  // an unknown STRATA_ISA is refused here, and not in the middle of a job
}
