// Tells a Python object what a job does: its methods on_progress, on_end and on_remark are called in the job's thread.
// What they raise ends the job, which resumes as after Ctrl-C.
#pragma once
#include <nanobind/nanobind.h>

#include <optional>
#include <string>

#include "core/interrupt.h"
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

/// Runs `work` without the GIL and returns what it gives; the Python object hears of its progress meanwhile.
/// interruptible: Ctrl-C stops it; for the main thread only.
template <class Work>
auto while_told(nanobind::handle listener, bool interruptible, const Work& work) {
  PythonListener told(listener);
  std::optional<InterruptibleWork> stoppable;
  if (interruptible) stoppable.emplace();
  const nanobind::gil_scoped_release no_gil;
  const ListeningToProgress listening(told);
  return work(told);
}

}  // namespace strata::python
