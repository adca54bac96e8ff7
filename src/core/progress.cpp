// Draws the bar of a terminal, writes the lines of a pipe, and tells a listener.
// The bar's width follows the terminal.
#include "core/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>

#include "core/interrupt.h"
#include "core/ranks.h"
#include "core/units.h"

namespace strata {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

constexpr double kQuietSeconds = 2.0;       // a stage that takes less is not shown
constexpr double kAnnouncedSeconds = 10.0;  // a pipe hears of a stage beforehand when more than this is left
constexpr double kSecondsBetween = 0.1;     // two pictures of the bar, or two calls of a listener

thread_local ProgressListener* t_listener = nullptr;

std::size_t terminal_columns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace

ListeningToProgress::ListeningToProgress(ProgressListener& listener) : before_(t_listener) { t_listener = &listener; }
ListeningToProgress::~ListeningToProgress() { t_listener = before_; }

Progress::Progress(std::string label, std::size_t total)
    : listener_(t_listener),
      label_(std::move(label)),
      total_(total),
      start_(steady_clock::now()),
      last_draw_(start_),
      exceptions_(std::uncaught_exceptions()),
      terminal_(isatty(STDERR_FILENO) != 0) {
  if (listener_ != nullptr) listener_->on_progress(label_, 0, total_);
}

Progress::~Progress() {
  if (listener_ != nullptr) {
    listener_->on_end(label_);
    return;
  }
  if (!all_ranks().is_first()) return;
  const double elapsed = duration<double>(steady_clock::now() - start_).count();
  if (drawn_)
    std::fputs("\r\033[K", stderr);
  else if (!terminal_ && elapsed >= kQuietSeconds)
    fmt::print(stderr, "{}: {} {}\n", label_, std::uncaught_exceptions() > exceptions_ ? "stopped after" : "took",
               human_seconds(elapsed));
  std::fflush(stderr);
}

void Progress::advance(std::size_t units) {
  check_interrupt();
  done_ += units;
  const auto now = steady_clock::now();
  const bool due = duration<double>(now - last_draw_).count() >= kSecondsBetween;
  if (listener_ != nullptr) {
    if (!due) return;
    last_draw_ = now;
    listener_->on_progress(label_, done_, total_);
    return;
  }
  if (duration<double>(now - start_).count() < kQuietSeconds || !all_ranks().is_first()) return;
  if (terminal_ && due) {
    last_draw_ = now;
    draw();
  } else if (!terminal_ && !announced_) {
    last_draw_ = now;
    announce();
  }
}

double Progress::seconds_left() const {
  if (done_ == 0 || total_ <= done_) return 0.0;
  const double elapsed = duration<double>(last_draw_ - start_).count();
  return elapsed / static_cast<double>(done_) * static_cast<double>(total_ - done_);
}

void Progress::announce() {
  announced_ = true;
  if (total_ == 0)
    fmt::print(stderr, "{} ...\n", label_);
  else if (seconds_left() >= kAnnouncedSeconds)
    fmt::print(stderr, "{}: about {}\n", label_, human_seconds(seconds_left()));
  std::fflush(stderr);
}

void Progress::note(std::string text) { note_ = std::move(text); }

void Progress::draw() {
  std::string line;
  if (total_ == 0) {
    line = fmt::format("{}  {}  {}", label_, done_, note_);
  } else {
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    constexpr std::size_t width = 24;
    const auto filled = static_cast<std::size_t>(share * static_cast<double>(width));
    const std::string bar = std::string(filled, '=') + std::string(width - filled, ' ');
    const std::string left = share > 0 ? human_seconds(seconds_left()) + " left" : "";
    line = fmt::format("{}  [{}] {:3.0f} %  {}  {}", label_, bar, share * 100, left, note_);
  }
  const std::size_t columns = terminal_columns();
  if (line.size() >= columns) line.resize(columns - 1);
  std::fprintf(stderr, "\r%s\033[K", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace strata
