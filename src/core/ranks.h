// Processes that work on one job together, on one machine or on several, started by mpirun or srun. Nothing outside
// ranks_mpi.cpp knows MPI, and a process that was started alone never initialises it.
#pragma once
#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "core/json.h"

namespace strata {

/// The processes that share some work, by number, and which of them this is. Every rank calls the functions below in
/// the same order, from its main thread; a rank that is alone returns at once. To wait takes no processor time, and
/// throws Interrupted after Ctrl-C.
class Ranks {
 public:
  Ranks() = default;  ///< this process alone
  Ranks(std::size_t rank, std::size_t size) : rank_(rank), size_(size) {}

  std::size_t rank() const { return rank_; }
  std::size_t size() const { return size_; }
  bool is_first() const { return rank_ == 0; }
  bool many() const { return size_ > 1; }

  /// Of `count` things in a row, those from first_of(count, r) up to first_of(count, r + 1) are the share of rank r.
  std::size_t first_of(std::size_t count, std::size_t rank) const { return count * rank / size_; }
  std::size_t first_of(std::size_t count) const { return first_of(count, rank_); }
  std::size_t end_of(std::size_t count) const { return first_of(count, rank_ + 1); }
  /// The rank that has thing `index` of `count`.
  std::size_t owner_of(std::size_t count, std::size_t index) const { return ((index + 1) * size_ - 1) / count; }

  /// Between two ranks: both know the size. A rank that sends to itself does nothing.
  void send(std::size_t to, std::span<const std::byte> bytes) const;
  void receive(std::size_t from, std::span<std::byte> bytes) const;

  /// Every rank gets what `from` has. Texts, JSON and vectors take the size of what comes.
  void broadcast(std::span<std::byte> bytes, std::size_t from = 0) const;
  void broadcast(std::string& text, std::size_t from = 0) const;
  void broadcast(json& value, std::size_t from = 0) const;
  template <class T>
  void broadcast(std::vector<T>& values, std::size_t from = 0) const {
    static_assert(std::is_trivially_copyable_v<T>);
    std::size_t count = values.size();
    broadcast(std::as_writable_bytes(std::span(&count, 1)), from);
    values.resize(count);
    broadcast(std::as_writable_bytes(std::span(values)), from);
  }

  /// Where the shares of `count` things begin, rank after rank, and where the last one ends.
  std::vector<std::size_t> shares(std::size_t count) const;
  /// Every rank has filled in the values from begins[its number] up to the next rank's, and gets all.
  template <class T>
  void share_all(std::span<T> values, const std::vector<std::size_t>& begins) const {
    static_assert(std::is_trivially_copyable_v<T>);
    share_bytes(std::as_writable_bytes(values), begins, sizeof(T));
  }
  /// The same for items of `item` values each, of which the last may be shorter, by their shares.
  template <class T>
  void share_all(std::span<T> values, std::size_t item = 1) const {
    std::vector<std::size_t> begins = shares((values.size() + item - 1) / item);
    for (std::size_t& begin : begins) begin = std::min(values.size(), begin * item);
    share_all(values, begins);
  }
  /// What all ranks have, one after another; to the first rank, others get nothing.
  template <class T>
  std::vector<T> collect(std::span<const T> own) const {
    std::vector<std::size_t> begins = begins_of(own.size());
    std::vector<T> all;
    if (is_first()) {
      all.resize(begins.back());
      std::copy(own.begin(), own.end(), all.begin());
    }
    collect_bytes(std::as_bytes(own), std::as_writable_bytes(std::span(all)), begins, sizeof(T));
    return all;
  }
  /// The same to all ranks.
  template <class T>
  std::vector<T> collect_for_all(const std::vector<T>& own) const {
    const std::vector<std::size_t> begins = begins_of(own.size());
    std::vector<T> all(begins.back());
    std::copy(own.begin(), own.end(), all.begin() + static_cast<std::ptrdiff_t>(begins[rank_]));
    share_all(std::span(all), begins);
    return all;
  }
  /// Every rank gets the largest of each value that all have.
  template <class T>
  void share_largest(std::span<T> values) const {
    if (!many()) return;
    const std::vector<T> all = collect_for_all(std::vector<T>(values.begin(), values.end()));
    for (std::size_t i = 0; i < all.size(); ++i)
      values[i % values.size()] = std::max(values[i % values.size()], all[i]);
  }
  /// What the first rank says.
  bool decide(bool of_first) const;

  /// Returns when every rank has called it.
  void meet() const;

 private:
  void share_bytes(std::span<std::byte> bytes, const std::vector<std::size_t>& begins, std::size_t size) const;
  /// Where the values of every rank begin when they lie one after another, and the last ones end.
  std::vector<std::size_t> begins_of(std::size_t own) const;
  void collect_bytes(std::span<const std::byte> own, std::span<std::byte> all, const std::vector<std::size_t>& begins,
                     std::size_t size) const;

  std::size_t rank_ = 0, size_ = 1;
};

/// Joins the processes that mpirun or srun has started with this one, and leaves them at its end, when every rank has
/// come there. Make one at the start of a program. Throws Error when there are several and this build has no MPI.
class JoinedRanks {
 public:
  JoinedRanks();
  ~JoinedRanks();
  JoinedRanks(const JoinedRanks&) = delete;
  JoinedRanks& operator=(const JoinedRanks&) = delete;

  /// Ends all ranks with this exit code, where there are several; else returns.
  static void end_all(int exit_code);
  /// Waits for the first rank to end the job for a reason that all ranks have; returns false when it did not.
  static bool ended_by_first_rank();
};

/// All processes that were started together.
Ranks all_ranks();
/// Those that share the work of a call: all of them in the scope of a WorkingTogether, else this process alone.
Ranks ranks_at_work();

/// All ranks make the calls of this scope together.
class WorkingTogether {
 public:
  WorkingTogether();
  ~WorkingTogether();
  WorkingTogether(const WorkingTogether&) = delete;
  WorkingTogether& operator=(const WorkingTogether&) = delete;

 private:
  bool before_;
};

/// "Open MPI 4.1.4", or "left out of this build".
std::string mpi_version();

}  // namespace strata
