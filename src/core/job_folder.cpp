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

JobFolder::JobFolder(fs::path output, const json& job, bool overwrite, bool restart)
    : output_(std::move(output)), folder_(part_folder(output_, true)) {
  std::error_code code;
  // Without a journal it was killed before it began, or while it was being removed.
  if (restart || !there(folder_ / kJournal)) fs::remove_all(folder_, code);
  const bool taken = !overwrite && there(output_), fresh = !there(folder_);
  if (taken && fresh) part_folder(output_, false);
  open(job);
  const auto complete = [](const json& unit) { return unit.contains(kComplete); };
  if (std::ranges::any_of(finished_, complete) && !there(result())) {
    published_ = there(output_);
    if (!published_) {  // the user has taken it away
      remove();
      open(job);
    }
  }
  if (!taken || published_) return;
  journal_.reset();
  part_folder(output_, false);
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

void JobFolder::publish() {
  if (published_) return;
  if (std::ranges::none_of(finished_, [](const json& unit) { return unit.contains(kComplete); }))
    append({{kComplete, true}});
  strata::publish(result(), output_);
  published_ = true;
}

void JobFolder::remove() {
  journal_.reset();
  std::error_code code;
  fs::remove(folder_ / kJournal, code);  // first: what is left without it is no work
  fs::remove_all(folder_, code);
}

}  // namespace strata
