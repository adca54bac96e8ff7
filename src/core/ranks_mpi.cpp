// Messages by MPI, or, in a build without it, by nobody. Waiting is asking and sleeping in turns: what MPI itself does
// while it waits takes a whole processor from the ranks that work.
#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "core/interrupt.h"
#include "core/transport.h"

#ifdef STRATA_MPI
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <thread>
#endif

namespace strata::transport {
namespace {

/// How many processes a starter has started with this one; 1 without a starter.
std::size_t started_together() {
  // mpirun of Open MPI; mpiexec of MPICH's kind and srun --mpi=pmi2; srun --mpi=pmix.
  for (const char* const name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"})
    if (const char* const text = std::getenv(name)) return std::strtoul(text, nullptr, 10);
  const char* const tasks = std::getenv("SLURM_STEP_NUM_TASKS");
  const bool of_step = std::getenv("PMIX_RANK") != nullptr || std::getenv("SLURM_PROCID") != nullptr;
  return tasks != nullptr && of_step ? std::strtoul(tasks, nullptr, 10) : 1;
}

#ifdef STRATA_MPI
constexpr std::size_t kMostBytes = std::size_t{1} << 28;  // of a message, whose size MPI counts in an int
constexpr std::size_t kSpins = 100;                       // askings before the first sleep
constexpr std::chrono::microseconds kFirstSleep{20}, kLongestSleep{1000};

void wait(MPI_Request request) {
  std::chrono::microseconds sleep = kFirstSleep;
  for (std::size_t asked = 0;; ++asked) {
    int done = 0;
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done != 0) return;
    if (asked < kSpins) {
      std::this_thread::yield();
      continue;
    }
    check_interrupt();
    std::this_thread::sleep_for(sleep);
    sleep = std::min(2 * sleep, kLongestSleep);
  }
}

/// The piece of a message that begins at byte `first`.
template <class Byte>
std::span<Byte> piece_of(std::span<Byte> bytes, std::size_t first) {
  first = std::min(first, bytes.size());
  return bytes.subspan(first, std::min(kMostBytes, bytes.size() - first));
}

MPI_Request start_send(std::size_t to, std::span<const std::byte> bytes) {
  MPI_Request request = MPI_REQUEST_NULL;
  if (!bytes.empty())
    MPI_Isend(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, static_cast<int>(to), 0, MPI_COMM_WORLD,
              &request);
  return request;
}

MPI_Request start_receive(std::size_t from, std::span<std::byte> bytes) {
  MPI_Request request = MPI_REQUEST_NULL;
  if (!bytes.empty())
    MPI_Irecv(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, static_cast<int>(from), 0, MPI_COMM_WORLD,
              &request);
  return request;
}
#endif

}  // namespace

#ifdef STRATA_MPI

Ranks join() {
  if (started_together() < 2) return {};
  int provided = 0, rank = 0, size = 1;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (size < 2)
    fail(
        "{} processes were started together, but Open MPI sees each alone: start them by its own mpirun, or by srun "
        "with --mpi=pmix",
        started_together());
  return {static_cast<std::size_t>(rank), static_cast<std::size_t>(size)};
}

void leave() { MPI_Finalize(); }

void end_all(int exit_code) { MPI_Abort(MPI_COMM_WORLD, exit_code); }

void send(std::size_t to, std::span<const std::byte> bytes) { exchange(to, bytes, to, {}); }

void receive(std::size_t from, std::span<std::byte> bytes) { exchange(from, {}, from, bytes); }

void exchange(std::size_t to, std::span<const std::byte> sent, std::size_t from, std::span<std::byte> received) {
  for (std::size_t first = 0; first < std::max(sent.size(), received.size()); first += kMostBytes) {
    const MPI_Request receiving = start_receive(from, piece_of(received, first));
    const MPI_Request sending = start_send(to, piece_of(sent, first));
    wait(sending);
    wait(receiving);
  }
}

std::string version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string_view all(text, static_cast<std::size_t>(length));
  return std::string(all.substr(0, all.find(',')));
}

#else

Ranks join() {
  if (const std::size_t count = started_together(); count > 1)
    fail("{} processes were started together, and this build has no MPI; build it with -DSTRATA_MPI=ON", count);
  return {};
}

void leave() {}
void end_all(int) {}
void send(std::size_t, std::span<const std::byte>) { STRATA_CHECK(false, "a message without MPI"); }
void receive(std::size_t, std::span<std::byte>) { STRATA_CHECK(false, "a message without MPI"); }
void exchange(std::size_t, std::span<const std::byte>, std::size_t, std::span<std::byte>) {
  STRATA_CHECK(false, "a message without MPI");
}
std::string version() { return "left out of this build"; }

#endif

}  // namespace strata::transport
