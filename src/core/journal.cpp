// Lines are appended with one write and fdatasync each. Reading keeps whole lines only and cuts the rest off, so that
// the next append begins a line of its own.
#include "core/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "core/file.h"

namespace strata {
namespace {

constexpr double kNoteSeconds = 2.0;

void write_line(int descriptor, const json& value, const std::filesystem::path& path) {
  const std::string line = json_text(value) + "\n";
  if (write_bytes(descriptor, std::as_bytes(std::span(line))) < line.size() || ::fdatasync(descriptor) != 0)
    fail("{}: {}", path.string(), std::strerror(errno));
}

/// Locks the file, which lasts until it is closed; true when another process holds the lock.
bool is_busy(int descriptor) { return ::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK; }

[[noreturn]] void fail_busy(const std::filesystem::path& path) {
  fail("{}: another process works on this; wait until it has ended", path.string());
}

/// A member of a job as a person would say it. Hashes of content say nothing to a person.
std::string said(const json& value) {
  const std::string text = value.is_string() ? value.get<std::string>() : brief(value);
  if (value.is_null()) return "none";
  return text.find("content ") == std::string::npos ? text : "a file of other content";
}

/// "another --bits (4, now 5)".
std::string difference(const std::string& key, const json& had, const json& wanted) {
  const std::string before = said(had), now = said(wanted);
  return before == now ? fmt::format("another {} ({})", key, now)
                       : fmt::format("another {} ({}, now {})", key, before, now);
}

}  // namespace

double seconds_between_notes() {
  const char* const text = std::getenv("STRATA_NOTE_SECONDS");
  if (text == nullptr || *text == '\0') return kNoteSeconds;
  char* end = nullptr;
  const double seconds = std::strtod(text, &end);
  if (*end != '\0' || !std::isfinite(seconds) || seconds < 0)
    fail("STRATA_NOTE_SECONDS={}: is not a number of seconds; unset it for a note every {} seconds", text,
         kNoteSeconds);
  return seconds;
}

Journal::Journal(std::filesystem::path path, const json& job, std::string_view drop) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("{}: {}", path_.string(), std::strerror(errno));
  try {
    if (is_busy(descriptor_)) fail_busy(path_);
    std::string text = read_text_file(path_);
    const std::size_t whole = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
    text.resize(whole);
    if (whole != 0) read(text, parse_json(json_text(job), path_.string()), drop);
    if (::ftruncate(descriptor_, static_cast<off_t>(whole)) != 0 || ::lseek(descriptor_, 0, SEEK_END) < 0)
      fail("{}: {}", path_.string(), std::strerror(errno));
    if (whole == 0) write_line(descriptor_, job, path_);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

Journal::~Journal() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void Journal::read(const std::string& text, const json& job, std::string_view drop) {
  const std::string where = path_.string();
  std::size_t begin = 0;
  for (std::size_t line = 1; begin < text.size(); ++line) {
    const std::size_t end = text.find('\n', begin);
    const json value =
        parse_json(std::string_view(text).substr(begin, end - begin), fmt::format("{}: line {}", where, line));
    if (!value.is_object()) fail("{}: line {}: is no unit of a journal; delete the file to begin again", where, line);
    begin = end + 1;
    if (line > 1) {
      finished_.push_back(value);
      continue;
    }
    const auto refuse = [&](const std::string& key, const json& had, const json& wanted) {
      fail("{}: is of a job with {}; run that one again to finish it, or {}", where, difference(key, had, wanted),
           drop);
    };
    for (const auto& [key, wanted] : job.items())
      if (const auto it = value.find(key); it == value.end() || *it != wanted)
        refuse(key, it == value.end() ? json() : *it, wanted);
    for (const auto& [key, had] : value.items())
      if (!job.contains(key)) refuse(key, had, json());
  }
}

void Journal::append(const json& unit) { write_line(descriptor_, unit, path_); }

json Journal::job_of(const std::filesystem::path& path) {
  std::error_code code;
  if (!std::filesystem::is_regular_file(path, code)) return nullptr;
  const std::string text = read_text_file(path);
  const std::size_t end = text.find('\n');
  if (end == std::string::npos) return nullptr;
  json job = json::parse(text.substr(0, end), nullptr, false);
  return job.is_object() ? job : json();
}

void Journal::refuse_busy(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  const bool busy = descriptor >= 0 && is_busy(descriptor);
  if (descriptor >= 0) ::close(descriptor);
  if (busy) fail_busy(path);
}

void Journal::remove(const std::filesystem::path& path) {
  std::error_code code;
  std::filesystem::remove(path, code);
}

}  // namespace strata
