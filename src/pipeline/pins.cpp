// Resolves --keep and --assign to groups.
// Nothing is silent: what matches nothing or contradicts is an error.
#include "pipeline/pins.h"

#include <regex>

namespace strata::pipeline {
namespace {

std::regex compile(const std::string& text, const char* option) {
  if (text.size() > 1000) fail("{}: the regular expression is longer than 1000 characters", option);
  try {
    return std::regex(text, std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error& e) {
    fail("{} '{}': not a regular expression: {}", option, text, e.what());
  }
}

}  // namespace

std::vector<const codec::Codec*> pinned_codecs(const model::Architecture& a, const Target& target,
                                               const PlanRequest& request) {
  std::vector<const codec::Codec*> pinned(a.groups.size(), nullptr);
  const auto pin = [&](const std::string& expression, const codec::Codec& codec, const char* option) {
    if (const std::string why = target.why_not(codec); !why.empty())
      fail("{} '{}': {} cannot be used for {}: {} (targets that can: {})", option, expression, codec.name, target.name,
           why, targets_that_can(codec));
    const std::regex regex = compile(expression, option);
    bool any = false;
    for (const model::Linear& linear : a.linears) {
      if (!std::regex_search(linear.module, regex)) continue;
      any = true;
      const codec::Codec*& slot = pinned[linear.group];
      if (slot != nullptr && slot != &codec)
        fail("{} '{}': {} is already to be {}; its group {} can have one codec only", option, expression, linear.module,
             slot->name, a.groups[linear.group].name);
      slot = &codec;
    }
    if (!any) fail("{} '{}': matches no linear; they are named like {}", option, expression, a.linears.front().module);
  };
  for (const std::string& expression : request.keep) pin(expression, codec::by_name("keep"), "--keep");
  for (const auto& [expression, name] : request.assign) pin(expression, codec::by_name(name), "--assign");
  if (!request.embed_codec.empty()) {
    if (!target.gguf) fail_usage("--embed-codec is for GGUF files; {} keeps the embedding in bf16", target.name);
    pin("^model\\.embed_tokens$", codec::by_name(request.embed_codec), "--embed-codec");
  }
  for (const model::Linear& linear : a.linears)
    if (const codec::Codec* codec = pinned[linear.group])
      if (const std::string why = why_not_shape(*codec, linear.rows, linear.cols); !why.empty())
        fail("{} cannot hold {}: {}", codec->name, linear.module, why);
  return pinned;
}

}  // namespace strata::pipeline
