// Progress of a stage of work on standard error. A terminal gets a bar that is redrawn and erased at the end:
// "quantize  [=====     ]  52 %  12 s left". A pipe gets whole lines: "quantize: about 90 s" and "quantize: took 92 s".
// A stage that ends within two seconds shows nothing, and of several ranks only the first shows any. A program that
// shows progress itself listens in their place.
#pragma once
#include <chrono>
#include <cstddef>
#include <string>

namespace strata {

/// Hears of every stage that its thread begins while it listens, however short; nothing is then written anywhere.
class ProgressListener {
 public:
  ProgressListener() = default;
  virtual ~ProgressListener() = default;
  ProgressListener(const ProgressListener&) = delete;
  ProgressListener& operator=(const ProgressListener&) = delete;

  /// `done` of `total` units (0: the end is unknown) of a stage are finished: at its beginning, and then at most ten
  /// times a second. What it throws ends the work, which resumes as after Ctrl-C.
  virtual void on_progress(const std::string& label, std::size_t done, std::size_t total) = 0;
  /// The stage has ended, or was left by an exception.
  virtual void on_end(const std::string& label) noexcept = 0;
};

/// Makes a listener hear of this thread's stages while this object lives.
class ListeningToProgress {
 public:
  explicit ListeningToProgress(ProgressListener& listener);
  ~ListeningToProgress();
  ListeningToProgress(const ListeningToProgress&) = delete;
  ListeningToProgress& operator=(const ListeningToProgress&) = delete;

 private:
  ProgressListener* before_;
};

class Progress {
 public:
  /// `total` units of work; 0 units means the end is unknown and only a count is shown.
  Progress(std::string label, std::size_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Adds finished units, redraws at most ten times a second, and throws Interrupted after Ctrl-C.
  /// Call it from one thread.
  void advance(std::size_t units = 1);
  /// Text after the bar, such as the tensor at hand.
  void note(std::string text);

 private:
  void draw();
  void announce();
  /// The seconds that are left at the speed so far, or 0 when nothing tells.
  double seconds_left() const;

  ProgressListener* listener_;  ///< of the thread when the stage began; nullptr for standard error
  std::string label_, note_;
  std::size_t total_, done_ = 0;
  std::chrono::steady_clock::time_point start_, last_draw_;
  int exceptions_;  ///< in flight when the stage began; when there are more at its end, the stage did not finish
  bool terminal_, drawn_ = false, announced_ = false;
};

}  // namespace strata
