// The codecs of a checkpoint on disk are found, and tell the plan that it was made with from others.
// Every type of GGUF that a codec writes is found again by its name.
#include "pipeline/report/stored_codecs.h"

#include "format/ggml_types.h"
#include "support/gguf_model.h"
#include "support/tiny_model.h"

namespace strata::pipeline {
namespace stored_codecs_test {

using ::strata::fixtures::error_of;
using ::strata::fixtures::golden_model;
using ::strata::fixtures::TemporaryFolder;

TEST(StoredCodecs, EveryTypeOfGgufIsItsCodec) {
  const TemporaryFolder folder;
  std::size_t found = 0;
  for (std::uint32_t type = 0; type < 64; ++type) {
    const codec::Codec* codec = format::codec_of_ggml_type(type);
    if (codec == nullptr && type > 1) continue;  // types 0 and 1 are F32 and F16, which no codec writes
    model::write_model(folder.path() / "m.gguf", "llama", type);
    const auto model = model::Model::open(folder.path() / "m.gguf", model::Fusion::single);
    for (const codec::Codec* stored : stored_codecs(model))
      EXPECT_EQ(stored->name, codec == nullptr ? "keep" : codec->name) << type;
    ++found;
  }
  EXPECT_GT(found, 15u);
}

TEST(StoredCodecs, APlanOfAnotherRunIsRefused) {
  const auto model = model::Model::open(golden_model("llama_tied"));
  Plan plan = plan_of(model, all_kept(model.architecture()));
  EXPECT_NO_THROW(check_plan_of(plan, model, "plan.json"));
  plan.groups[0].codec = &codec::by_name("int4_g32");
  const std::string message = error_of([&] { check_plan_of(plan, model, "plan.json"); });
  EXPECT_EQ(message.find("plan.json: gives model.layers.0.self_attn.q_proj int4_g32, and in"), 0u) << message;
  EXPECT_NE(message.find("it is keep; give the plan that"), std::string::npos) << message;
  plan.groups.erase(plan.groups.begin());
  EXPECT_NE(error_of([&] { check_plan_of(plan, model, "plan.json"); }).find("gives"), std::string::npos);
}

}  // namespace stored_codecs_test
}  // namespace strata::pipeline
