// Options set by their names, for tests of what is made of them.
#pragma once
#include <map>
#include <string>
#include <utility>

#include "core/options.h"

namespace strata {

/// A visitor that sets the options that it has words for, in the order in which they are declared.
class SetOptions final : public OptionVisitor {
 public:
  explicit SetOptions(std::map<std::string, OptionWords> words) : words_(std::move(words)) {}
  void declare(const OptionInfo& info, const OptionValue& value) override {
    if (const auto it = words_.find(info.name); it != words_.end()) value.set(it->second);
  }

 private:
  std::map<std::string, OptionWords> words_;
};

}  // namespace strata
