// Progress of a stage of work on standard error. A terminal gets a bar that is redrawn and erased at the end:
// "quantize  [=====     ]  52 %  12 s left". A pipe gets whole lines: "quantize: about 90 s" and "quantize: took 92 s".
// A stage that ends within two seconds shows nothing.
#pragma once
#include <chrono>
#include <cstddef>
#include <string>

namespace strata {

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

  std::string label_, note_;
  std::size_t total_, done_ = 0;
  std::chrono::steady_clock::time_point start_, last_draw_;
  int exceptions_;  ///< in flight when the stage began; when there are more at its end, the stage did not finish
  bool terminal_, drawn_ = false, announced_ = false;
};

}  // namespace strata
