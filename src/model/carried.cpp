// A part begins at the component of a tensor's name that no name of the text model shares: "model.visual.blocks.0.norm"
// leaves the text model's names at "visual". Runtimes name modules as transformers does but for the first components
// (vLLM: "visual.blocks.0"; transformers: "model.visual.blocks.0"), so that a pattern begins at that component.
#include "model/carried.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>

#include "core/units.h"

namespace strata::model {
namespace {

constexpr std::size_t kMostOfName = 100;  ///< patterns are cut here, as readers limit their length

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c) != 0; });
}

/// Letters, digits and '_' stand for themselves, a point is escaped, and anything else is left to match any character.
std::string escaped(std::string_view name) {
  std::string result;
  for (const char c : name.substr(0, kMostOfName))
    if (c == '.')
      result += "\\.";
    else
      result += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' ? c : '.';
  return name.size() > kMostOfName ? result : result + "\\b";
}

/// The names of the text model's tensors: every prefix of theirs that ends at a point, and their components.
class TextNames {
 public:
  explicit TextNames(const Architecture& a) {
    for (const ExpectedTensor& tensor : expected_tensors(a)) {
      const std::string_view name = tensor.name;
      std::string_view before;
      for (std::size_t at = 0; at <= name.size();) {
        const std::size_t dot = std::min(name.find('.', at), name.size());
        const std::string_view component = name.substr(at, dot - at);
        components_.emplace(component);
        if (is_number(component)) components_.emplace(fmt::format("{}.{}", before, component));
        if (dot < name.size()) prefixes_.emplace(name.substr(0, dot));
        before = component;
        at = dot + 1;
      }
    }
    for (const Linear& linear : a.linears) linears_.insert(linear.module);
  }

  /// What a carried tensor's name begins with up to the first component that is not the text model's.
  std::string_view part_of(std::string_view name) const {
    for (std::size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1))
      if (!prefixes_.contains(name.substr(0, dot))) return name.substr(0, dot);
    return name;
  }
  /// Whether a label (label_of) stands between points of the text model's names too.
  bool has_label(std::string_view label) const { return components_.contains(label); }
  bool is_of_linear(std::string_view tensor) const {
    const std::size_t dot = tensor.rfind('.');
    return dot != tensor.npos && linears_.contains(tensor.substr(0, dot));
  }

 private:
  std::set<std::string, std::less<>> prefixes_, components_, linears_;
};

/// Keys of config.json by which runtimes look for blocks that predict several tokens at once.
constexpr std::array<const char*, 2> kBlocksAhead = {"num_nextn_predict_layers", "mtp_num_hidden_layers"};

/// config.json and its parts that each describe a model ("text_config").
template <class Json>
std::vector<Json*> parts_of(Json& config) {
  std::vector<Json*> parts = {&config};
  for (auto it = config.begin(); it != config.end(); ++it)
    if (it.value().is_object() && it.key().ends_with("_config")) parts.push_back(&it.value());
  return parts;
}

/// The last component of a part's name, and the one before where the last is a number.
std::string_view label_of(std::string_view part) {
  std::size_t dot = part.rfind('.');
  if (dot != part.npos && is_number(part.substr(dot + 1)) && dot > 0) dot = part.rfind('.', dot - 1);
  return dot == part.npos ? part : part.substr(dot + 1);
}

}  // namespace

std::vector<CarriedPart> carried_parts(const Model& model, const std::function<bool(const TensorInfo&)>& is_left_out) {
  if (model.carried().empty()) return {};
  const TextNames text(model.architecture());
  std::map<std::string, CarriedPart, std::less<>> by_key;
  for (const TensorInfo& tensor : model.carried()) {
    if (is_left_out && !is_left_out(tensor)) continue;
    const std::string_view name = text.part_of(tensor.name), label = label_of(name);
    if (text.is_of_linear(tensor.name)) continue;  // the bias of a linear belongs to it
    // A label that is also a component of the text model's names would match its modules under any prefix.
    const bool shared = text.has_label(label);
    CarriedPart& part = by_key[std::string(shared ? name : label)];
    if (part.tensors == 0) {
      part.name = name;
      part.pattern = shared ? fmt::format("re:{}", escaped(name)) : fmt::format("re:.*\\b{}", escaped(label));
    }
    ++part.tensors;
    part.bytes += tensor.bytes;
  }
  std::vector<CarriedPart> parts;
  for (auto& [key, part] : by_key) parts.push_back(std::move(part));
  std::ranges::sort(parts, {}, &CarriedPart::name);
  return parts;
}

bool carries_blocks_ahead(const Model& model) {
  const model::Names& names = model.architecture().names;
  const std::string blocks = names.root + std::string(names.blocks);
  return std::ranges::any_of(carried_parts(model), [&](const CarriedPart& part) {
    return part.name.starts_with(blocks) || part.name.find("mtp") != part.name.npos;
  });
}

std::uint64_t announced_blocks_ahead(const json& config) {
  std::uint64_t most = 0;
  for (const json* part : parts_of(config))
    for (const char* key : {kBlocksAhead[0], kBlocksAhead[1], "num_mtp_layers", "num_mtp_modules"})
      if (const auto it = part->find(key); it != part->end() && it->is_number_unsigned())
        most = std::max(most, it->get<std::uint64_t>());
  return most;
}

void announce_no_blocks_ahead(json& config) {
  for (json* part : parts_of(config))
    for (const char* key : kBlocksAhead)
      if (part->contains(key)) (*part)[key] = 0;
}

std::string describe_carried(const std::vector<CarriedPart>& parts) {
  constexpr std::size_t shown = 8;
  if (parts.empty()) return {};
  std::vector<std::string> texts;
  for (const CarriedPart& part : parts) {
    if (texts.size() == shown) {
      texts.push_back(fmt::format("and {} more parts", parts.size() - shown));
      break;
    }
    texts.push_back(fmt::format("{} ({} tensor{}, {})", part.name.substr(0, kMostOfName), part.tensors,
                                part.tensors == 1 ? "" : "s", human_bytes(part.bytes)));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace strata::model
