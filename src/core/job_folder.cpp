// The last line of the journal, "complete", comes before the rename of the result and after all that the result needs:
// a run that finds it renames, or finds it done.
#include "core/job_folder.h"

#include <algorithm>

#include "core/file.h"

namespace strata {
namespace fs = std::filesystem;
namespace {

constexpr const char* kJournal = "journal";
constexpr const char* kComplete = "complete";

bool there(const fs::path& path) {
  std::error_code code;
  return fs::exists(fs::symlink_status(path, code));
}

}  // namespace

JobFolder::JobFolder(fs::path output, const json& job, bool overwrite, bool restart, const fs::path& existing)
    : output_(std::move(output)), folder_(part_folder(output_, true)), overwrite_(overwrite) {
  std::error_code code;
  if (restart && there(folder_ / kJournal)) Journal::refuse_busy(folder_ / kJournal);
  // A folder without a journal is of a job that was killed before it began, or while its folder was being removed.
  if (restart || !there(folder_ / kJournal)) fs::remove_all(folder_, code);
  const fs::path& found = existing.empty() ? output_ : existing;
  const bool taken = !overwrite && there(found), fresh = !there(folder_);
  if (taken && fresh) check_new_output(found, false);
  open(job);
  const auto kept = [&](const fs::path& name) { return there(folder_ / name) || there(beside(name)); };
  if (!std::ranges::all_of(complete_names(), kept)) {  // the user took a part of the result away
    remove();
    open(job);
  }
  if (!taken || complete()) return;
  journal_.reset();
  check_new_output(found, false);
}

json JobFolder::unfinished(const fs::path& output) { return Journal::job_of(part_folder(output, true) / kJournal); }

std::vector<fs::path> JobFolder::complete_names() const {
  std::vector<fs::path> names;
  for (const json& unit : finished_)
    if (unit.contains(kComplete))
      for (const std::string& name : get<std::vector<std::string>>(unit, kComplete, (folder_ / kJournal).string()))
        names.emplace_back(fs::path(name).filename());
  return names;
}

void JobFolder::refuse_taken(const std::vector<fs::path>& names, bool are_files) const {
  if (complete()) return;
  for (const fs::path& name : names) {
    std::error_code code;
    check_new_output(beside(name), overwrite_);
    if (are_files && fs::is_directory(fs::symlink_status(beside(name), code)))
      fail("{}: exists already; it is a folder and is not replaced by a file", beside(name).string());
  }
}

void JobFolder::open(const json& job) {
  std::error_code code;
  if (!there(folder_) && !fs::create_directory(folder_, code))
    fail("{}: cannot be created: {}", folder_.string(), code.message());
  journal_.emplace(folder_ / kJournal, job, "use --restart to drop its work");
  finished_ = journal_->finished();
}

JobFolder::~JobFolder() {
  if (journal_ && finished_.empty()) remove();
}

bool JobFolder::has(const std::string& name) const { return there(folder_ / name); }

fs::path JobFolder::result() const {
  const fs::path name = output_.lexically_normal();
  return folder_ / (name.has_filename() ? name : name.parent_path()).filename();
}

void JobFolder::append(const json& unit) {
  journal_->append(unit);
  finished_.push_back(unit);
}

void JobFolder::publish(const std::vector<fs::path>& names) {
  if (!complete()) {
    std::vector<std::string> texts;
    for (const fs::path& name : names) texts.push_back(name.string());
    append({{kComplete, texts}});
  }
  for (std::size_t i = names.size(); i-- > 0;)
    if (there(folder_ / names[i])) strata::publish(folder_ / names[i], beside(names[i]));
}

void JobFolder::remove() {
  journal_.reset();
  std::error_code code;
  fs::remove(folder_ / kJournal, code);  // first, as a folder without a journal is begun anew
  fs::remove_all(folder_, code);
}

}  // namespace strata
