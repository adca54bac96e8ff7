// Tells a Python object what a job does: its methods on_progress, on_end and on_remark are called in the job's thread.
// What they raise ends the job, which resumes as after Ctrl-C.
#pragma once
#include <nanobind/nanobind.h>

#include <string>

#include "core/progress.h"
#include "pipeline/job/listener.h"

namespace strata::python {

/// The job's thread does not hold the GIL; every call here takes it. The object must outlive this.
class PythonListener final : public pipeline::Listener, public ProgressListener {
 public:
  explicit PythonListener(nanobind::handle listener) : listener_(listener) {}

  void on_resume(const std::filesystem::path& folder) override;
  void on_remark(const std::string& text) override;
  void on_progress(const std::string& label, std::size_t done, std::size_t total) override;
  void on_end(const std::string& label) noexcept override;

 private:
  nanobind::handle listener_;
};

}  // namespace strata::python
