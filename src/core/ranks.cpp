// Everything is made of messages between two ranks, so that one place decides how a rank waits.
// A broadcast goes along a binomial tree: the rank that has the bytes sends them to half of the others first.
#include "core/ranks.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "core/exchange.h"
#include "core/interrupt.h"
#include "core/transport.h"

namespace strata {
namespace {

Ranks g_all;
bool g_together = false;

/// How long a rank waits for the first one to say what both have met: long enough for a slow start on another host.
constexpr auto kGrace = std::chrono::seconds(3);

}  // namespace

void Ranks::send(std::size_t to, std::span<const std::byte> bytes) const {
  if (to != rank_) transport::send(to, bytes);
}

void Ranks::receive(std::size_t from, std::span<std::byte> bytes) const {
  if (from != rank_) transport::receive(from, bytes);
}

void exchange(const Ranks& ranks, std::size_t to, std::span<const std::byte> sent, std::size_t from,
              std::span<std::byte> received) {
  if (ranks.many()) transport::exchange(to, sent, from, received);
}

void Ranks::broadcast(std::span<std::byte> bytes, std::size_t from) const {
  if (!many()) return;
  const std::size_t place = (rank_ + size_ - from) % size_;  // the sender stands at 0
  std::size_t step = 1;
  for (; step < size_; step *= 2)
    if ((place & step) != 0) {
      receive((place - step + from) % size_, bytes);
      break;
    }
  for (step /= 2; step > 0; step /= 2)
    if (place + step < size_) send((place + step + from) % size_, bytes);
}

void Ranks::broadcast(std::string& text, std::size_t from) const {
  if (!many()) return;
  std::vector<char> characters(text.begin(), text.end());
  broadcast(characters, from);
  text.assign(characters.begin(), characters.end());
}

void Ranks::broadcast(json& value, std::size_t from) const {
  if (!many()) return;
  std::string text = rank_ == from ? json_text(value) : std::string();
  broadcast(text, from);
  if (rank_ != from) value = parse_json(text, "what another rank sent");
}

std::vector<std::size_t> Ranks::shares(std::size_t count) const {
  std::vector<std::size_t> begins;
  for (std::size_t r = 0; r <= size_; ++r) begins.push_back(first_of(count, r));
  return begins;
}

std::vector<std::size_t> Ranks::begins_of(std::size_t own) const {
  std::vector<std::size_t> sizes(size_);
  sizes[rank_] = own;
  share_all(std::span(sizes));
  std::vector<std::size_t> begins = {0};
  for (const std::size_t size : sizes) begins.push_back(begins.back() + size);
  return begins;
}

void Ranks::collect_bytes(std::span<const std::byte> own, std::span<std::byte> all,
                          const std::vector<std::size_t>& begins, std::size_t size) const {
  if (!is_first()) return send(0, own);
  for (std::size_t r = 1; r < size_; ++r) receive(r, all.subspan(begins[r] * size, (begins[r + 1] - begins[r]) * size));
}

void Ranks::share_bytes(std::span<std::byte> bytes, const std::vector<std::size_t>& begins, std::size_t size) const {
  if (!many()) return;
  collect_bytes(bytes.subspan(begins[rank_] * size, (begins[rank_ + 1] - begins[rank_]) * size), bytes, begins, size);
  broadcast(bytes);
}

bool Ranks::decide(bool of_first) const {
  char decision = of_first ? 1 : 0;
  broadcast(std::as_writable_bytes(std::span(&decision, 1)));
  return decision != 0;
}

void Ranks::meet() const {
  std::vector<char> here(size_);
  share_all(std::span(here));
}

JoinedRanks::JoinedRanks() { g_all = transport::join(); }

JoinedRanks::~JoinedRanks() {
  if (!g_all.many()) return;
  try {
    g_all.meet();
    transport::leave();
  } catch (const Error&) {  // Ctrl-C while a rank waited for the others' end
    transport::end_all(130);
  }
  g_all = {};
}

void JoinedRanks::end_all(int exit_code) {
  if (g_all.many()) transport::end_all(exit_code);
}

bool JoinedRanks::ended_by_first_rank() {
  if (g_all.is_first()) return false;
  try {
    for (const auto begin = std::chrono::steady_clock::now(); std::chrono::steady_clock::now() - begin < kGrace;) {
      check_interrupt();  // how the others are told
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  } catch (const Interrupted&) {
    return true;
  }
  return false;
}

Ranks all_ranks() { return g_all; }
Ranks ranks_at_work() { return g_together ? g_all : Ranks(); }

WorkingTogether::WorkingTogether() : before_(g_together) { g_together = true; }
WorkingTogether::~WorkingTogether() { g_together = before_; }

std::string mpi_version() { return transport::version(); }

}  // namespace strata
