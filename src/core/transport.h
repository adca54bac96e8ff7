// The messages that ranks are made of. Only ranks.cpp includes this; ranks_mpi.cpp has it with MPI, or without.
#pragma once
#include <cstddef>
#include <span>
#include <string>

#include "core/ranks.h"

namespace strata::transport {

/// Joins the processes that were started together; alone, does nothing.
Ranks join();
void leave();
/// Ends all ranks.
void end_all(int exit_code);
/// Both return when the bytes may be used again.
void send(std::size_t to, std::span<const std::byte> bytes);
void receive(std::size_t from, std::span<std::byte> bytes);
void exchange(std::size_t to, std::span<const std::byte> sent, std::size_t from, std::span<std::byte> received);
std::string version();

}  // namespace strata::transport
