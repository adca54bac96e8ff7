// The embedding's tensor tells the root, since every family has one and no vision tower has.
// Of several, the one whose root is shortest belongs to the text model.
#include "model/find_names.h"

#include <optional>

namespace strata::model {
namespace {

/// What stands before `ending` in a name, which is empty or ends in a point; nothing when the name ends otherwise.
std::optional<std::string> before(const std::string& name, const std::string& ending) {
  if (!name.ends_with(ending)) return std::nullopt;
  std::string start = name.substr(0, name.size() - ending.size());
  if (!start.empty() && start.back() != '.') return std::nullopt;
  return start;
}

/// The name of the weight that a tensor is, or is a part of: the parts of a codec are named after it, weight_packed.
std::string weight_of(const std::string& name) {
  const std::string ending = ".weight";
  const std::size_t last = name.rfind('.');
  return last != name.npos && name.compare(last, ending.size(), ending) == 0 ? name.substr(0, last + ending.size())
                                                                             : name;
}

}  // namespace

void find_names(Architecture& a, std::span<const ExpectedTensor> present) {
  const std::string embedding = std::string(a.names.embedding) + ".weight",
                    head = std::string(a.names.head) + ".weight";
  std::optional<std::string> root, head_root;
  for (const ExpectedTensor& tensor : present) {
    if (tensor.shape.size() != 2 || tensor.shape[0] != a.vocab) continue;
    if (const auto start = before(tensor.name, embedding); start && (!root || start->size() < root->size()))
      root = start;
    if (const auto start = before(weight_of(tensor.name), head);
        start && (!head_root || start->size() < head_root->size()))
      head_root = start;
  }
  if (root) a.names.root = *root;
  if (head_root) a.names.head_root = *head_root;
  list_linears(a);
}

}  // namespace strata::model
