// From a job's results to its model card.
// A resumed job measures the same and writes the same card.
#include "pipeline/job/card.h"

#include <algorithm>

#include "core/file.h"
#include "pipeline/output/card_file.h"
#include "pipeline/report/model_card.h"

namespace strata::pipeline {

void write_card(const model::Model& model, const QuantizeRequest& request, const Quantized& done,
                const std::string& command) {
  const Plan& plan = done.prepared.plan.plan;
  const Target& target = target_of(request);
  const bool quantized = std::ranges::any_of(plan.groups, [](const PlannedGroup& g) { return g.codec->has_codes(); });
  if (!quantized || !target.extension().empty()) return;
  const CardFacts facts{.model = model,
                        .plan = plan,
                        .target = target,
                        .method = std::string(method_of(request).name),
                        .command = command,
                        .bytes = done.written.bytes,
                        .measured = done.verification ? &*done.verification : nullptr};
  write_text_file(done.written.path / kCardName, card_file(model_card(facts)));
}

}  // namespace strata::pipeline
