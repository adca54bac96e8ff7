// A codec's cells are one text, by which codecs are gathered in rows.
#include "pipeline/report/consumers.h"

#include <algorithm>
#include <regex>

#include "pipeline/plan/least_version.h"

namespace strata::pipeline {
namespace {

using codec::Codec;

/// "0.29" of "vLLM 0.29"; "yes" where there is no version.
std::string version_of(std::string_view version) {
  if (version.empty()) return "yes";
  return std::string(version.substr(version.rfind(' ') + 1));
}

std::string cell(const Target& target, const Codec& codec) {
  if (!target.why_not(codec).empty()) return "-";
  const Schemes scheme = scheme_of(codec);
  const std::string dense = version_of(least_version(target, scheme, kNoScheme));
  const bool in_experts = target.why_not_experts(codec).empty();
  const std::string experts = in_experts ? version_of(least_version(target, kNoScheme, scheme)) : "-";
  return fmt::format("{}{}", dense == experts ? dense : dense + ", " + experts,
                     target.on_request.hold(scheme) ? " (asked for)" : "");
}

/// "int4_g*" of "int4_g64".
std::string without_group_size(const std::string& name) {
  static const std::regex size("_g(32|64|128)$");
  return std::regex_replace(name, size, "_g*");
}

}  // namespace

json consumers_json() {
  const auto or_true = [](std::string why) { return why.empty() ? json(true) : json(std::move(why)); };
  json list = json::array();
  for (const Target& target : targets()) {
    json codecs = json::object();
    for (const Codec& codec : codec::all()) {
      json& entry = codecs[codec.name] = {{"dense", or_true(target.why_not(codec))}};
      if (entry["dense"] != true) continue;
      entry["experts"] = or_true(target.why_not_experts(codec));
      if (codec.has_codes()) entry["embedding"] = or_true(target.why_not_embedding(codec));
      entry["asked_for_only"] = target.on_request.hold(scheme_of(codec));
      const std::string_view version = least_version(target, scheme_of(codec), kNoScheme);
      if (!version.empty()) entry["least_version"] = version;
    }
    list.push_back({{"name", target.name}, {"description", target.description}, {"codecs", std::move(codecs)}});
  }
  return {{"targets", std::move(list)}};
}

std::vector<std::vector<std::string>> consumers_rows() {
  std::vector<std::vector<std::string>> rows = {{"codecs"}};
  for (const Target& target : targets()) rows[0].emplace_back(target.name);
  for (const Codec& codec : codec::all()) {
    std::vector<std::string> row = {without_group_size(codec.name)};
    for (const Target& target : targets()) row.push_back(cell(target, codec));
    const auto same = std::ranges::find_if(
        rows, [&](const auto& other) { return std::equal(row.begin() + 1, row.end(), other.begin() + 1); });
    if (same == rows.end())
      rows.push_back(std::move(row));
    else if ((", " + (*same)[0] + ",").find(", " + row[0] + ",") == std::string::npos)
      (*same)[0] += ", " + row[0];
  }
  return rows;
}

}  // namespace strata::pipeline
