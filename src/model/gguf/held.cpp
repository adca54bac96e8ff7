// A linear's tensors are looked up by the names that export gives them, then by those that other writers have: a stack
// of gate and up together, a tensor an expert.
#include "model/gguf/held.h"

#include <map>
#include <optional>
#include <utility>

#include "core/error.h"
#include "model/gguf/families.h"
#include "model/gguf/names.h"
#include "model/gguf/splits.h"

namespace strata::model {
namespace {

constexpr std::uint32_t kNvfp4 = 40;  // has a number beside each matrix, which its codec counts

using Shape = std::vector<std::uint64_t>;

class HeldReader {
 public:
  HeldReader(const Architecture& a, const format::GgufFile& gguf, const std::string& where)
      : a_(a), gguf_(gguf), where_(where), row_(gguf_family_of(a)), held_(a.linears.size()) {
    for (std::size_t l = 0; l < a.linears.size(); ++l) index_[a.linears[l].module + ".weight"] = l;
  }

  std::vector<HeldLinear> read() {
    check_blocks();
    std::map<std::string, std::string> names;  // of parts, by their Hugging Face names
    for (std::size_t b = 0; b < a_.blocks; ++b) {
      for (GgufName& name : gguf_part_names(a_, b)) names[name.hf] = name.gguf;
      read_splits(b);
      if (a_.layout[b].mixture) read_experts(b);
    }
    for (const auto& [hf, l] : index_) {
      if (held_[l].bytes != 0) continue;
      const auto part = names.find(hf);
      const std::optional<std::string> name = part != names.end() ? part->second : gguf_tensor_name(a_.names, hf, row_);
      if (!name) fail("{}: {} has no name in GGUF", where_, hf);
      add(l, wanted(*name, shape_of(l)), 1);
      if (a_.linears[l].role == Role::embed && a_.tied && gguf_.find("output.weight") != nullptr)
        add(l, wanted("output.weight", shape_of(l)), 1);
    }
    return std::move(held_);
  }

 private:
  void check_blocks() const {
    const std::string& name = gguf_.text("general.architecture");
    const std::string ahead = name + ".nextn_predict_layers";  // blocks that predict several tokens at once
    const std::uint64_t all = gguf_.integer(name + ".block_count");
    const std::uint64_t more = gguf_.has(ahead) ? gguf_.integer(ahead) : 0;
    if (all != a_.blocks && all != a_.blocks + more)
      fail("{}: is a file of another model: it has {} blocks, this one {}", where_, all, a_.blocks);
  }

  Shape shape_of(std::size_t l) const { return {a_.linears[l].rows, a_.linears[l].cols}; }

  const format::GgufTensor& checked(const format::GgufTensor& tensor, const Shape& shape) const {
    if (tensor.shape != shape)
      fail("{}: is a file of another model: {} has shape [{}], this one's has [{}]", where_, tensor.name,
           fmt::join(tensor.shape, ", "), fmt::join(shape, ", "));
    if (tensor.data.empty())
      fail("{}: {} is of {}, which is not known here; what it takes cannot be told", where_, tensor.name,
           format::ggml_type_name(tensor.type));
    return tensor;
  }

  const format::GgufTensor& wanted(const std::string& name, const Shape& shape) const {
    const format::GgufTensor* const tensor = gguf_.find(name);
    if (tensor == nullptr) fail("{}: is a file of another model: {} is missing", where_, name);
    return checked(*tensor, shape);
  }

  /// A tensor that `linears` of one size share.
  void add(std::size_t l, const format::GgufTensor& tensor, std::size_t linears) {
    const format::GgufTensor* const factor = gguf_.find(gguf_factor_name(tensor.name));
    const std::uint64_t bytes =
        (tensor.data.size() + (tensor.type == kNvfp4 && factor != nullptr ? factor->data.size() : 0)) / linears;
    if (bytes > largest_[l]) {
      largest_[l] = bytes;
      held_[l].type = tensor.type;
    }
    held_[l].bytes += bytes;
  }

  /// Linears that lie in several tensors. Files that have them otherwise are looked up by the linear's own name.
  void read_splits(std::size_t b) {
    for (const GgufSplit& split : gguf_splits(a_, b)) {
      const auto l = index_.find(split.hf);
      if (l == index_.end() || gguf_.find(split.pieces.front().name) == nullptr) continue;
      for (const GgufPiece& piece : split.pieces) add(l->second, wanted(piece.name, piece.shape()), 1);
    }
  }

  void read_experts(std::size_t b) {
    const format::GgufTensor* const pair = gguf_.find(gguf_gate_up_stack(b));
    for (const GgufStack& stack : gguf_stacks(a_, b)) {
      if (stack.bias) continue;
      const std::size_t first = index_.at(stack.parts.front()), count = stack.parts.size();
      const Linear& linear = a_.linears[first];
      const bool paired = pair != nullptr && a_.gated && linear.role != Role::down;
      const format::GgufTensor* const whole = paired ? pair : gguf_.find(stack.name);
      if (whole != nullptr) checked(*whole, {count, paired ? 2 * linear.rows : linear.rows, linear.cols});
      const bool singles = whole == nullptr && gguf_.find(stack.singles.front()) != nullptr;
      if (whole == nullptr && !singles) wanted(stack.name, {});
      for (std::size_t e = 0; e < count; ++e)
        add(index_.at(stack.parts[e]), singles ? wanted(stack.singles[e], shape_of(first)) : *whole,
            singles  ? 1
            : paired ? 2 * count
                     : count);
    }
  }

  const Architecture& a_;
  const format::GgufFile& gguf_;
  const std::string& where_;
  GgufFamily row_;
  std::vector<HeldLinear> held_;
  std::map<std::string, std::size_t> index_;      ///< of linears, by the names of their weights
  std::map<std::size_t, std::uint64_t> largest_;  ///< bytes of the largest tensor of a linear
};

}  // namespace

std::vector<HeldLinear> held_linears(const Architecture& architecture, const format::GgufFile& gguf,
                                     const std::string& where) {
  return HeldReader(architecture, gguf, where).read();
}

}  // namespace strata::model
