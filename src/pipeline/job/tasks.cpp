// The harness is a Python package, so that a Python runs it: the one that is named, that of the environment which this
// program was installed into, or the one on the PATH.
#include "pipeline/job/tasks.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "core/process.h"
#include "core/threads.h"
#include "pipeline/job/precision.h"

namespace strata::pipeline {
namespace {

namespace fs = std::filesystem;

/// A folder that goes when this does.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "strata-tasks-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) fail("{}: no folder can be made in it", fs::temp_directory_path().string());
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  fs::path operator/(const char* name) const { return path_ / name; }

 private:
  fs::path path_;
};

std::string python() {
  if (const char* named = std::getenv("STRATA_PYTHON"); named != nullptr && *named != '\0') return named;
  std::error_code none;
  const fs::path beside = fs::read_symlink("/proc/self/exe", none).parent_path() / "python3";
  return fs::exists(beside, none) ? beside.string() : "python3";
}

/// Throws Error unless this Python has the harness and the package of this program.
void require_packages(const std::string& python) {
  const auto code =
      run_process({python, "-c",
                   "import importlib.util, sys\n"
                   "sys.exit(any(importlib.util.find_spec(name) is None for name in ('strata', 'lm_eval')))"});
  if (code != 0)
    fail(
        "--tasks needs lm-evaluation-harness and strata's Python package in {}; in a clone of strata `{} -m pip "
        "install . "
        "lm_eval` installs both (STRATA_PYTHON names another Python)",
        python, python);
}

/// The rows of one model: numbers of the form that a report relies on.
json checked_rows(const json& rows, const std::string& where) {
  if (!rows.is_array()) fail("{}: the figures of a model are no list", where);
  for (const json& row : rows) {
    if (!row.is_object()) fail("{}: a figure is {}, expected an object", where, brief(row));
    for (const char* key : {"task", "metric", "filter"}) get<std::string>(row, key, where);
    get<std::size_t>(row, "items", where);
    get<double>(get<json>(row, "value", where), "mean", where);
  }
  return rows;
}

}  // namespace

void visit(TaskRequest& request, OptionVisitor& visitor) {
  visitor.comma_list({.name = "--tasks",
                      .help = "Tasks of lm-evaluation-harness, by name or as YAML files, separated by commas",
                      .example = "arc_easy,hellaswag"},
                     request.names);
  visitor.option({.name = "--limit", .help = "Items of each task, from its start; 0: all", .example = "100"},
                 request.limit);
}

std::vector<json> run_tasks(const TaskRequest& request, const std::vector<std::string>& models,
                            const std::string& reference, kernel::Precision precision) {
  const std::string interpreter = python();
  require_packages(interpreter);
  const TemporaryFolder folder;
  const fs::path output = folder / "tasks.json";
  std::vector<std::string> words = {interpreter, "-m", "strata.lm_eval.compare"};
  words.insert(words.end(), models.begin(), models.end());
  const auto add = [&](const char* name, const std::string& value) { words.insert(words.end(), {name, value}); };
  if (!reference.empty()) add("--ref", reference);
  add("--tasks", fmt::format("{}", fmt::join(request.names, ",")));
  if (request.limit != 0) add("--limit", std::to_string(request.limit));
  add("--precision", precision_name(precision));
  add("--threads", std::to_string(thread_count()));
  add("--output", output.string());
  const auto code = run_process(words);
  if (code != 0)
    fail("lm-evaluation-harness ended with code {}; what it says of {} stands above", code.value_or(127),
         fmt::join(request.names, ", "));
  const json file = read_json_file(output);
  if (!file.is_array() || file.size() != models.size())
    fail("{}: has not the figures of {} models", output.string(), models.size());
  std::vector<json> figures;
  for (const json& rows : file) figures.push_back(checked_rows(rows, output.string()));
  return figures;
}

}  // namespace strata::pipeline
