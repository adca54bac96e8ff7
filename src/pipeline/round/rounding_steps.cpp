// The steps of the rounding, which are blocks and then the head, and who asks for them: the first rank, whose caller
// takes the linears in the order in which they are written. The other ranks take the same steps.
#include "core/error.h"
#include "pipeline/round/rounding.h"

namespace strata::pipeline {

void Rounding::share_stored(std::size_t l, std::size_t from) {
  const model::Linear& linear = model_.architecture().linears[l];
  if (setup_.ranks.rank() != from) stored_[l] = codec::allocate(*codecs_[l], linear.rows, linear.cols);
  for (std::vector<std::byte>& part : stored_.at(l).parts) setup_.ranks.broadcast(std::span(part), from);
}

void Rounding::resume(std::size_t blocks, std::function<codec::Stored(std::size_t)> stored) {
  STRATA_CHECK(next_ == 0, "block {} is next already", next_);
  chosen_ = blocks;
  chosen_linear_ = std::move(stored);
}

void Rounding::replay_block(std::size_t block) {
  begin_block();
  progress_.note(fmt::format("block {}/{} again", block + 1, model_.architecture().blocks));
  const model::BlockLinears& of = model_.architecture().layout[block];
  for (std::size_t l = of.first; l < of.first + of.count; ++l) {
    if (!codecs_[l]->has_codes()) continue;
    if (setup_.ranks.is_first()) stored_[l] = chosen_linear_(l);
    share_stored(l, 0);
    replacing_.set(l, {{}, &stored_.at(l)});
    progress_.advance();
  }
  for (const engine::Half half : {engine::Half::attention, engine::Half::feed_forward}) {
    run(block, half, nullptr, engine::Site::block_out);
    if (original_) original_->advance(block, half);
  }
}

const codec::Stored& Rounding::linear(std::size_t index) {
  const model::Architecture& a = model_.architecture();
  STRATA_CHECK(codecs_[index]->has_codes(), "{} keeps its weights", a.linears[index].module);
  if (index == a.embedding()) return embedding_;
  const std::size_t block = std::min(a.linears[index].block, a.blocks);
  while (next_ <= block) {
    std::size_t asked = index;
    setup_.ranks.broadcast(std::as_writable_bytes(std::span(&asked, 1)));
    take_step(index);
  }
  STRATA_CHECK(stored_.contains(index), "{} of block {}, but block {} is next", a.linears[index].module, block, next_);
  return stored_.at(index);
}

/// Does the next block, or the head, which is then the linear `index`.
void Rounding::take_step(std::size_t index) {
  const std::size_t blocks = model_.architecture().blocks;
  if (next_ < std::min(blocks, chosen_))
    replay_block(next_);
  else if (next_ < blocks)
    round_block(next_);
  else
    round_head(index);
  ++next_;
}

void Rounding::help() {
  for (;;) {
    std::size_t index = model::kNoLinear;
    setup_.ranks.broadcast(std::as_writable_bytes(std::span(&index, 1)));
    if (index == model::kNoLinear) return;
    take_step(index);
  }
}

void Rounding::end() {
  std::size_t none = model::kNoLinear;
  setup_.ranks.broadcast(std::as_writable_bytes(std::span(&none, 1)));
}

}  // namespace strata::pipeline
