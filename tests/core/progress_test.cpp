// What a listener hears of stages of work: their beginning, their progress and their end, however they end.
// It hears of its own thread's stages only.
#include "core/progress.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>
#include <vector>

namespace strata {
namespace progress_test {

class Recorder final : public ProgressListener {
 public:
  void on_progress(const std::string& label, std::size_t done, std::size_t total) override {
    heard.push_back(label + " " + std::to_string(done) + "/" + std::to_string(total));
    if (throws && done > 0) throw std::runtime_error("stop");
  }
  void on_end(const std::string& label) noexcept override { heard.push_back(label + " ended"); }

  std::vector<std::string> heard;
  bool throws = false;
};

void work(std::size_t units) {
  Progress progress("work", units);
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  for (std::size_t i = 0; i < units; ++i) progress.advance();
}

TEST(Progress, AListenerHearsOfShortStagesAtMostTenTimesASecond) {
  Recorder recorder;
  {
    const ListeningToProgress listening(recorder);
    work(1000);
  }
  ASSERT_GE(recorder.heard.size(), 3u);
  EXPECT_LT(recorder.heard.size(), 20u);
  EXPECT_EQ(recorder.heard[0], "work 0/1000");
  EXPECT_EQ(recorder.heard[1], "work 1/1000");
  EXPECT_EQ(recorder.heard.back(), "work ended");
}

TEST(Progress, WhatAListenerThrowsEndsTheWorkAndTheStage) {
  Recorder recorder;
  recorder.throws = true;
  const ListeningToProgress listening(recorder);
  EXPECT_THROW(work(3), std::runtime_error);
  EXPECT_EQ(recorder.heard, (std::vector<std::string>{"work 0/3", "work 1/3", "work ended"}));
}

TEST(Progress, AListenerHearsOfItsThreadOnlyAndUntilItIsReplaced) {
  Recorder outer, inner;
  const ListeningToProgress listening(outer);
  std::thread([] { work(1); }).join();
  {
    const ListeningToProgress nested(inner);
    const Progress progress("inner", 1);
  }
  { const Progress progress("outer", 1); }
  EXPECT_EQ(inner.heard, (std::vector<std::string>{"inner 0/1", "inner ended"}));
  EXPECT_EQ(outer.heard, (std::vector<std::string>{"outer 0/1", "outer ended"}));
}

}  // namespace progress_test
}  // namespace strata
