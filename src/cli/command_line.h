// The options of one verb on a command line: every declaration becomes an option of CLI11.
// CLI11 itself is included by two sources only, since it takes longer to compile than all verbs together.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/options.h"

namespace CLI {
class App;
}

namespace strata::cli {

class CommandLine final : public OptionVisitor {
 public:
  explicit CommandLine(CLI::App& app) : app_(app) {}
  void declare(const OptionInfo& info, const OptionValue& value) override;
  void heading(const std::string& text) override { heading_ = text; }

 private:
  CLI::App& app_;
  std::string heading_ = "Options";
};

}  // namespace strata::cli
