// Parts are those of vLLM's ColumnParallelLinear (rows), RowParallelLinear (columns) and ReplicatedLinear. Keys and
// values of fewer heads than parts are held by several parts each.
#include "pipeline/plan/shapes.h"

#include <numeric>

#include "model/gguf/factors.h"
#include "model/mlx/families.h"

namespace strata::pipeline {
namespace {

using codec::Codec;
using model::Role;

constexpr std::uint64_t kWordBits = 32;
/// vLLM pads a vocabulary to a multiple of this before it cuts it.
constexpr std::uint64_t kVocabularyMultiple = 64;

enum class Cut { nothing, rows, columns };

Cut cut_of(const model::Linear& linear) {
  switch (linear.role) {
    case Role::o:
    case Role::down:
      return Cut::columns;
    case Role::q_a:  // latents are made and normed by every part alike
    case Role::kv_a:
    case Role::to_latent:
    case Role::from_latent:
    case Role::embed_gate:
    case Role::embed_out:
    case Role::other:
      return Cut::nothing;
    default:
      return Cut::rows;
  }
}

/// Whether a linear makes keys or values that are cached by heads, which several parts may hold each.
bool makes_heads(const model::Architecture& a, const model::Linear& linear) {
  return (linear.role == Role::k || linear.role == Role::v) &&
         a.attention[linear.block].mixer == model::Mixer::attention;
}

bool in_words(std::uint64_t codes, unsigned bits) { return codes % kWordBits * bits % kWordBits == 0; }

/// The fewest codes that end with a word.
std::uint64_t words_end(unsigned bits) { return kWordBits / std::gcd(kWordBits, std::uint64_t{bits}); }

/// What a part's tensors must be, if they are to be cut out of the whole's between two words and two groups.
std::string why_not_cut(const Target& target, const Codec& codec, const model::Linear& linear, PartShape part,
                        std::uint64_t parts) {
  const bool cut = part.cols != linear.cols;
  const auto says = [&](std::string_view what) {
    return fmt::format("{} of the {} columns {}", part.cols, linear.cols,
                       what.empty() ? fmt::format("in each of {} parts", parts) : what);
  };
  if (cut && codec.group_size != 0 && part.cols % codec.group_size != 0)
    return fmt::format("its groups of {} do not divide {}", codec.group_size, says(""));
  const bool packed = codec.is_integer() && scheme_of(codec).bits != kInt8Activations.bits;
  if (packed && (target.whole_words || cut) && !in_words(part.cols, codec.code_bits))
    return fmt::format("its codes fill whole 32-bit words only when {} divides {}", words_end(codec.code_bits),
                       cut ? says("") : fmt::format("the {} columns", linear.cols));
  if (packed && !codec.symmetric && part.rows != linear.rows && !in_words(part.rows, codec.code_bits))
    return fmt::format(
        "its zero points fill whole 32-bit words only when {} divides {} of the {} rows in each of {} "
        "parts",
        words_end(codec.code_bits), part.rows, linear.rows, parts);
  return {};
}

/// Blocks of FP8 must not reach over two linears that are held in one matrix, or over two parts of a matrix.
std::string why_not_blocks(const model::Architecture& a, const model::FusionGroup& group, const Codec& codec,
                           std::uint64_t parts) {
  for (const std::size_t l : group.linears) {
    const model::Linear& linear = a.linears[l];
    if (linear.role == Role::lm_head) return "vLLM loads no head with scales of blocks";
    const bool cut = parts > 1 && cut_of(linear) == Cut::rows;
    const bool followed = linear.routed() ? linear.role != Role::down : l != group.linears.back();
    const std::uint64_t rows = part_of(a, linear, parts).rows;
    if ((cut || followed) && rows % codec.group_size != 0)
      return fmt::format("its blocks of {} do not divide {} rows{}", codec.group_size, rows,
                         parts > 1 ? fmt::format(" in each of {} parts", parts) : "");
  }
  return {};
}

std::string why_not_multiple(const Target& target, const model::Architecture& a, const model::FusionGroup& group,
                             std::uint64_t parts) {
  const model::Linear& first = a.linears[group.linears.front()];
  const std::uint64_t multiple = target.integer_multiple;
  std::uint64_t rows = 0;
  const std::uint64_t cols = part_of(a, first, parts).cols;
  for (const std::size_t l : group.linears) {
    const model::Linear& linear = a.linears[l];
    const bool twice = linear.role == Role::k && a.attention[linear.block].k_is_v;  // in v's place too
    rows += (twice ? 2 : 1) * part_of(a, linear, parts).rows;
  }
  if (rows % multiple == 0 && cols % multiple == 0) return {};
  return fmt::format("the kernel of {} for integers takes multiples of {}, not {} rows of {} columns", target.name,
                     multiple, rows, cols);
}

}  // namespace

PartShape part_of(const model::Architecture& a, const model::Linear& linear, std::uint64_t parts) {
  PartShape part{linear.rows, linear.cols};
  const Cut cut = parts == 1 ? Cut::nothing : cut_of(linear);
  if (cut == Cut::columns) part.cols /= parts;
  if (cut != Cut::rows) return part;
  if (linear.role == Role::lm_head || linear.role == Role::embed) {
    part.rows = (part.rows + kVocabularyMultiple - 1) / kVocabularyMultiple * kVocabularyMultiple;
  } else if (makes_heads(a, linear)) {
    const std::uint64_t heads = a.kv_heads_of(a.attention[linear.block]);
    parts = std::min(parts, std::max<std::uint64_t>(heads, 1));
  }
  part.rows /= parts;
  return part;
}

void check_parts(const Target& target, const model::Architecture& a, std::uint64_t parts) {
  if (parts == 1) return;
  if (!target.cuts) fail_usage("--tp {}: {} does not cut models in parts; leave it out", parts, target.name);
  if (parts > kMostParts) fail_usage("--tp {}: at most {} parts", parts, kMostParts);
  const auto refuse = [&](std::string_view what, std::uint64_t count) {
    fail_usage("--tp {}: vLLM cannot cut {} {} in so many equal parts", parts, count, what);
  };
  for (const model::BlockAttention& attention : a.attention) {
    if (attention.mixer != model::Mixer::attention && attention.mixer != model::Mixer::latent) continue;
    const std::uint64_t shared = a.kv_heads_of(attention);
    if (a.heads_of(attention) % parts != 0) refuse("heads of attention", a.heads_of(attention));
    if (attention.mixer == model::Mixer::attention && shared % parts != 0 &&
        parts % std::max<std::uint64_t>(shared, 1) != 0)
      refuse("heads of keys", shared);
  }
  for (const model::Linear& linear : a.linears) {
    const Cut cut = cut_of(linear);
    if (cut == Cut::columns && linear.cols % parts != 0) refuse("columns of " + linear.module, linear.cols);
    // Whole heads are looked at above.
    if (cut == Cut::rows && !makes_heads(a, linear) && linear.block != model::kNoBlock && linear.rows % parts != 0)
      refuse("rows of " + linear.module, linear.rows);
  }
}

std::string why_not_shape(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  std::string why = codec::why_not(codec, rows, cols);
  if (why.empty() && codec.is_integer() && !codec.symmetric && !in_words(rows, codec.code_bits))
    why = fmt::format("its zero points fill whole 32-bit words only when {} divides the {} rows",
                      words_end(codec.code_bits), rows);
  return why;
}

/// vLLM turns weights that a family's files hold as (in, out) around by their name, whatever they are.
std::string why_not_turned(const Target& target, const Codec& codec, const model::Architecture& a,
                           const model::Linear& linear) {
  if (!a.turned_linears || linear.block == model::kNoBlock || target.container != codec::Container::compressed_tensors)
    return {};
  for (const codec::PartSpec& part : codec.layout(codec, linear.rows, linear.cols))
    if (part.suffix == "weight")
      return fmt::format("runtimes turn the weights of {} around as they load them, these codes too", a.model_type);
  return {};
}

std::string why_not_fused(const Target& target, const Codec& codec, const model::Architecture& a,
                          const model::FusionGroup& group, std::uint64_t parts) {
  const model::Linear& first = a.linears[group.linears.front()];
  if (target.container == codec::Container::gguf && first.role == Role::kv_b && codec.has_codes())
    return "llama.cpp has kv_b in two matrices, the rows of one being columns of kv_b, where codes are of other "
           "weights";
  if (!codec.has_codes()) return {};
  if (first.role == Role::embed)
    if (std::string why = target.why_not_embedding(codec); !why.empty()) return why;
  if (std::string why = why_not_turned(target, codec, a, first); !why.empty()) return why;
  if (target.container == codec::Container::gguf && codec.tensor_scaled)
    if (std::string why = model::why_no_factor(a, first); !why.empty()) return why;
  if (target.container == codec::Container::mlx && model::taken_apart_by_mlx(a, first))
    return "mlx_lm makes two matrices of kv_b as it loads it, and their codes would be of other weights";
  for (const std::size_t l : group.linears)
    if (std::string why = why_not_cut(target, codec, a.linears[l], part_of(a, a.linears[l], parts), parts);
        !why.empty())
      return why;
  if (scheme_of(codec).bits == kFp8Block.bits) return why_not_blocks(a, group, codec, parts);
  if (!codec.is_integer() || scheme_of(codec).bits == kInt8Activations.bits) return {};
  if (!first.routed()) return why_not_multiple(target, a, group, parts);
  if (codec.group_size == 0 && first.cols % target.expert_row_multiple != 0)
    return fmt::format("vLLM takes experts with one scale a row when {} divides what they read, not {} columns",
                       target.expert_row_multiple, first.cols);
  return {};
}

std::string why_not_group(const Target& target, const Codec& codec, const model::Architecture& architecture,
                          const model::FusionGroup& group, std::uint64_t parts) {
  std::string why = target.why_not(codec);
  if (why.empty() && architecture.linears[group.linears.front()].routed())
    why = why_not_experts(target, codec, architecture.experts);
  return why.empty() ? why_not_fused(target, codec, architecture, group, parts) : why;
}

}  // namespace strata::pipeline
