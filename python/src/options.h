// Options of jobs by the names of the command line: listed for Python, and set from what Python gives.
// Both are visitors of the declarations that the command line is made of.
#pragma once
#include <map>
#include <string>

#include "core/options.h"

namespace strata::python {

/// The words of each option that is given, by its name on the command line.
using Words = std::map<std::string, OptionWords>;

/// Gathers a list of objects: `name` ("--act-order"), `key` ("act_order"), `heading`, `help`, `kind` (flag, one, many
/// or groups), `placeholder`, `default` (null where there is none), and `values` where only these words are allowed.
class Lister final : public OptionVisitor {
 public:
  void declare(const OptionInfo& info, const OptionValue& value) override;
  void heading(const std::string& text) override { heading_ = text; }
  json listed = json::array();

 private:
  std::string heading_;
};

/// A Request with these options set, in the order of their declarations. Throws UsageError for a value that is none.
template <class Request>
Request request_of(const Words& words);

namespace detail {
class Setter final : public OptionVisitor {
 public:
  explicit Setter(const Words& words) : words_(words) {}
  void declare(const OptionInfo& info, const OptionValue& value) override {
    if (const auto it = words_.find(info.name); it != words_.end()) value.set(it->second);
  }

 private:
  const Words& words_;
};
}  // namespace detail

template <class Request>
Request request_of(const Words& words) {
  Request request;
  detail::Setter setter(words);
  visit(request, setter);
  return request;
}

}  // namespace strata::python
