// One HTTP exchange: a request, and what the server answers to exactly that. libcurl carries it.
// Redirects, tokens and second attempts are decided in client.h.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace strata::hub {

enum class Method { get, head, post, put };

struct Response {
  int status = 0;
  std::map<std::string, std::string> headers = {};  ///< names in lower case; of equal names the last one counts
  std::string body = {};                            ///< empty where the request has a sink that took it
  std::string redirect = {};               ///< where a redirect leads, as an absolute address; empty when it is none
  std::string host = {};                   ///< which host answered, for messages
  std::optional<double> retry_after = {};  ///< seconds that the server asks to wait

  bool succeeded() const { return status >= 200 && status < 300; }
  /// A header's value, by its name in lower case; empty when there is none.
  const std::string& header(const std::string& name) const;
};

/// Where the body of a response with a status of 2xx goes, piece by piece. What it throws ends the exchange.
class Sink {
 public:
  Sink() = default;
  virtual ~Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  /// Status and headers are known and the body follows.
  virtual void begin(const Response& head) = 0;
  virtual void write(std::span<const std::byte> bytes) = 0;
};

struct Request {
  Method method = Method::get;
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::span<const std::byte> body = {};  ///< of POST and PUT; must live as long as the exchange
  Sink* sink = nullptr;
  std::function<void(std::size_t)> on_sent = {};  ///< hears of bytes of the body that were handed over
};

/// The exchange did not come to its end for a reason that may pass: no connection, a connection that was cut, silence.
class Unreachable : public Error {
 public:
  using Error::Error;
};

/// Scheme, host and port of an address, such as "https://huggingface.co:443". Throws Error for an address that is none
/// or that is neither http nor https.
std::string origin_of(const std::string& url);
/// `text` with every byte but letters, digits and -._~ (and slashes, where asked) as %XX: RFC 3986, section 2.3.
std::string percent_encoded(const std::string& text, bool keep_slashes);

/// A connection that is kept open from one exchange to the next. One thread uses it at a time.
class Connection {
 public:
  /// silence_seconds: without a byte for so long, in either direction, an exchange counts as broken; one that sends a
  /// body waits a minute at least, since the other side may have work to do with it. stop: ends an exchange at once, as
  /// Ctrl-C does; it then throws Interrupted.
  Connection(long silence_seconds, std::stop_token stop);

  /// Throws Unreachable, Error for what will not pass (a certificate that is not trusted), Interrupted, and what the
  /// sink throws. Messages name the host alone, since the rest of an address may be a secret.
  Response exchange(const Request& request);
  /// Waits; throws Interrupted as exchange() does.
  void wait(double seconds) const;

 private:
  struct Free {
    void operator()(void* handle) const;
  };
  long silence_seconds_;
  std::stop_token stop_;
  std::unique_ptr<void, Free> handle_;
};

}  // namespace strata::hub
