// prior: what the literature says about which linears deserve bits, as rules from a built-in table or a user's file. It
// needs no calibration, and is the baseline that a measured signal has to beat, and the only cost of a preset.
#pragma once
#include <cstddef>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "core/json.h"
#include "model/architecture.h"

namespace strata::importance {

class Prior {
 public:
  /// Reads rules as docs/files.md has them. Throws Error naming `where`, and the rule.
  static Prior from_json(const json& value, const std::string& where);
  /// The rules built in; their sources are in docs/allocation.md.
  static const Prior& literature();

  /// The groups that a rule keeps in bf16.
  std::vector<std::size_t> kept(const model::Architecture& architecture) const;
  /// The value of every linear: the product of the weights of the rules that match it.
  std::vector<double> of_linears(const model::Architecture& architecture) const;
  /// The value of every fusion group: the largest value among its linears.
  std::vector<double> of_groups(const model::Architecture& architecture) const;

 private:
  struct Rule {
    std::regex match;
    double weight = 1.0;
    bool keep = false;
    std::optional<std::regex> beside{};             ///< acts in models that have such a linear; without it in all
    std::size_t first_blocks = 0, last_blocks = 0;  ///< only these blocks; with both 0, all blocks and lm_head
    bool applies(const model::Linear& linear, std::size_t blocks) const;
  };
  /// The rules that act in a model.
  std::vector<const Rule*> rules_of(const model::Architecture& architecture) const;
  std::vector<Rule> rules_;
};

/// The values of the built-in rules by fusion group.
std::vector<double> prior(const model::Architecture& architecture);

}  // namespace strata::importance
