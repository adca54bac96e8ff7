// Names and keys of experts in GGUF files. A GGUF file does not say whether the weights of the chosen experts are
// normalized: llama.cpp knows it by the architecture's name, and a model that differs from that is refused.
#include "model/gguf/experts.h"

#include "model/model.h"

namespace strata::model {
namespace {

constexpr const char* kCount = ".expert_count";
constexpr const char* kUsed = ".expert_used_count";
constexpr const char* kSize = ".expert_feed_forward_length";

/// Whether llama.cpp divides the chosen weights by their sum (its src/models).
bool llama_normalizes(std::string_view architecture) { return architecture != "olmoe"; }

}  // namespace

std::vector<GgufStack> gguf_stacks(const Architecture& a, std::size_t block) {
  std::vector<GgufStack> stacks;
  for (const auto& [role, name] : {std::pair{Role::gate, "gate"}, {Role::up, "up"}, {Role::down, "down"}}) {
    GgufStack& stack = stacks.emplace_back(GgufStack{fmt::format("blk.{}.ffn_{}_exps.weight", block, name), {}, {}});
    for (std::size_t e = 0; e < a.experts.count; ++e) {
      stack.parts.push_back(a.linear(block, role, e).module + ".weight");
      stack.singles.push_back(fmt::format("blk.{}.ffn_{}.{}.weight", block, name, e));
    }
  }
  return stacks;
}

std::string gguf_router_name(std::size_t block) { return fmt::format("blk.{}.ffn_gate_inp.weight", block); }

void check_gguf_experts(const Architecture& a, const std::string& where) {
  const Experts& e = a.experts;
  if (e.count == 0) return;
  const std::string arch(find_family(a.model_type)->gguf);
  if (e.shared_intermediate != 0 || e.correction)
    fail("{}: {} models with shared experts cannot be written as GGUF here; use --for vllm", where, a.model_type);
  if (a.qk_norm == QkNorm::whole && (a.q_size() != a.hidden || a.kv_size() != a.hidden))
    fail("{}: llama.cpp wants norms of {} for q and k of {}, and this model's are of {} and {}", where, a.hidden, arch,
         a.q_size(), a.kv_size());
  for (std::size_t b = 0; b < a.blocks; ++b)
    if (!a.layout[b].mixture)
      fail("{}: block {} has no experts, and llama.cpp wants all blocks of {} to have them", where, b, arch);
  if (e.normalize != llama_normalizes(arch))
    fail("{}: llama.cpp {} the weights of the experts of {}, and this model does not do so ('norm_topk_prob')", where,
         llama_normalizes(arch) ? "normalizes" : "does not normalize", arch);
}

void add_expert_keys(format::GgufKeys& keys, const Architecture& a) {
  const Experts& e = a.experts;
  if (e.count == 0) return;
  const std::string arch(find_family(a.model_type)->gguf);
  keys.add(arch + kCount, static_cast<std::uint32_t>(e.count));
  keys.add(arch + kUsed, static_cast<std::uint32_t>(e.used));
  keys.add(arch + kSize, static_cast<std::uint32_t>(e.intermediate));
}

bool has_experts(const format::GgufFile& gguf) {
  const std::string key = gguf.text("general.architecture") + kCount;
  return gguf.has(key) && gguf.integer(key) != 0;
}

void add_expert_config(json& config, const format::GgufFile& gguf, const Family& family) {
  if (family.mixture == nullptr) return;
  const std::string arch(family.gguf);
  config[family.mixture->count_key] = gguf.integer(arch + kCount);
  config["num_experts_per_tok"] = gguf.integer(arch + kUsed);
  config["norm_topk_prob"] = llama_normalizes(arch);
  if (gguf.has(arch + kSize)) config[family.mixture->size_key] = gguf.integer(arch + kSize);
}

}  // namespace strata::model
