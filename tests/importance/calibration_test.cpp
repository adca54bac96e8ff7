// Tests what a calibration request makes of a model's limits.
#include "importance/calibration.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace strata::importance {
namespace calibration_test {

TEST(CalibrationRequest, HasNoMoreTokensThanAModelHasLearnedPositions) {
  model::Architecture architecture;
  CalibrationRequest request;
  request.defaults = {32, 512};
  request.fit(architecture);
  EXPECT_EQ(request.size().seq_len, 512u) << "positions that are computed have no end";
  architecture.learned.positions = 320;
  request.fit(architecture);
  EXPECT_EQ(request.size().seq_len, 320u);
  request.seq_len = 320;
  request.fit(architecture);
  EXPECT_EQ(request.size().seq_len, 320u);
  request.seq_len = 321;
  EXPECT_THROW(request.fit(architecture), UsageError);
}

}  // namespace calibration_test
}  // namespace strata::importance
