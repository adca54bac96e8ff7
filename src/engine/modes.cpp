// Guards of the engine's modes that do more than set a pointer.
#include "engine/modes.h"

namespace strata::engine {

Recording::Recording(Engine& engine, Record* record) : engine_(engine) {
  engine_.record_ = record;
  if (record == nullptr) return;
  record->inputs.assign(engine.architecture().linears.size(), {});
  record->outputs.assign(engine.architecture().linears.size(), {});
}

void Replacing::set(std::size_t linear, kernel::Weights weights) {
  engine_.replaced_[linear] = weights;
  linears_.insert(linear);
}

void Replacing::reset(std::size_t linear) {
  engine_.replaced_[linear].reset();
  linears_.erase(linear);
}

void Replacing::reset() {
  for (const std::size_t linear : linears_) engine_.replaced_[linear].reset();
  linears_.clear();
}

}  // namespace strata::engine
