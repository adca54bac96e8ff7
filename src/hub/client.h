// Requests to the hub: redirects followed, the token shown to the endpoint alone, and what may pass tried again.
// Where a redirect leads to another host, such as storage of large files, that host never sees the token.
#pragma once
#include <cstddef>
#include <stop_token>
#include <string>

#include "hub/http.h"
#include "hub/settings.h"

namespace strata::hub {

/// Which attempts may follow one that failed.
enum class Repeat {
  always,       ///< the request changes nothing, or the same thing again
  if_not_done,  ///< only where the server says that it did nothing (429, 503)
};

/// Whether a request that was answered with this status is tried again.
bool may_pass(int status, Repeat repeat);

/// One for each thread.
class Client {
 public:
  explicit Client(Settings settings, std::stop_token stop = {});

  /// Follows at most ten redirects, never from https to http. An exchange that breaks (Unreachable) and the statuses
  /// 408, 429, 500, 502, 503 and 504 are tried again, `attempts` times in all, after a time that doubles from half a
  /// second, or that the server asks for where that is at most five minutes. Returns what was answered last, whatever
  /// its status, with "*" for the token wherever the server repeats it, since answers become messages. Throws as
  /// Connection::exchange.
  Response send(Request request, Repeat repeat = Repeat::always, std::size_t attempts = 5);
  /// Waits before the attempt that follows so many failures in a row, as send() does.
  void wait_after(std::size_t failures) const;
  void wait(double seconds) const { connection_.wait(seconds); }

  const Settings& settings() const { return settings_; }

 private:
  Response follow(Request request);

  Settings settings_;
  std::string origin_;  ///< of the endpoint: who may see the token
  Connection connection_;
};

/// POST of JSON or the like. Content-Type is `type`; `text` must live as long as the request.
Request post(std::string url, const std::string& text, const std::string& type);

}  // namespace strata::hub
