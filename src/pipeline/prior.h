// Rules of the literature about which linears deserve bits, as data: a table that is built in, or a user's file.
// Preset prior plans by nothing else; its format is in docs/files.md, the sources of the rules in docs/allocation.md.
#pragma once
#include <regex>
#include <string>
#include <vector>

#include "pipeline/plan_request.h"

namespace strata::pipeline {

class Prior {
 public:
  /// Throws Error naming `where` for anything that is not a list of rules.
  static Prior from_json(const json& value, const std::string& where);
  /// The request's rules, or those built in.
  static Prior of(const PlanRequest& request);
  /// The rules built in, as their file would hold them.
  static const json& builtin();

  /// Groups that a rule keeps in bf16.
  std::vector<std::size_t> kept(const model::Architecture& architecture) const;
  /// By linear and codec: weights x the product of the matching rules' weights x 4^-bits. More bits, less cost; `keep`
  /// costs nothing.
  Costs costs(const model::Architecture& architecture) const;

 private:
  struct Rule {
    std::regex match;
    double weight = 1.0;
    bool keep = false;
    std::size_t first_blocks = 0, last_blocks = 0;  ///< only blocks at these ends; both 0: all
    bool applies(const model::Linear& linear, std::size_t blocks) const;
  };
  std::vector<Rule> rules_;
};

}  // namespace strata::pipeline
