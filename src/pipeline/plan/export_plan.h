// A plan as a recipe for another quantizer, so that the same allocation can be made by its methods.
// docs/files.md shows each format; tests/peers reads them with the tools themselves.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/codec.h"
#include "core/json.h"

namespace strata::pipeline {

/// What a recipe takes from a plan: every linear and its codec.
struct ExportedPlan {
  struct Linear {
    std::string module;
    const codec::Codec* codec;
  };
  std::vector<Linear> linears;

  /// Reads plan.json without the model that it was made for. Throws Error naming `where` for anything that is not a
  /// plan, unknown codecs, and a plan whose groups do not list their linears, or list one twice.
  static ExportedPlan from_json(const json& value, const std::string& where);
};

/// A tool that recipes can be written for.
struct Exporter {
  std::string_view name;
  std::string_view usage;  ///< how the tool is given the file
  /// Empty when the tool has a scheme for the codec's bits, else why not.
  std::string (*why_not)(const codec::Codec&);
  std::string (*write)(const ExportedPlan&);
};

std::span<const Exporter> exporters();
/// Throws UsageError listing the known names, the nearest first.
const Exporter& exporter_by_name(std::string_view name);

/// The recipe's text. Throws Error naming the first linear whose codec the tool lacks, and why.
std::string export_plan(const ExportedPlan& plan, const Exporter& exporter);

}  // namespace strata::pipeline
