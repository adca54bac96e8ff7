// A progress line on standard error, drawn only when it is a terminal: "quantize  [=====>    ]  52 %  12 s left".
// Nothing appears for work that ends within two seconds.
#pragma once
#include <chrono>
#include <cstddef>
#include <string>

namespace strata {

/// "12 s", "5 min", "3.2 h".
std::string human_seconds(double seconds);

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
  /// Text behind the bar, such as the tensor at hand.
  void note(std::string text);

 private:
  void draw();
  std::string label_, note_;
  std::size_t total_, done_ = 0;
  std::chrono::steady_clock::time_point start_, last_draw_;
  bool enabled_, drawn_ = false;
};

}  // namespace strata
