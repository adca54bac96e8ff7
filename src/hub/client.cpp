// Redirects and second attempts.
// Waiting begins anew with each request; who fetches a file by ranges counts failures itself.
#include "hub/client.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace strata::hub {
namespace {

constexpr std::size_t kMostRedirects = 10;
constexpr double kFirstWait = 0.5, kLongestWait = 8.0;  // seconds
constexpr double kMostAsked = 300.0;  // seconds that a server may ask for; who must wait longer is told to come back

double wait_seconds(std::size_t failures) {
  return std::min(kLongestWait, kFirstWait * std::pow(2.0, static_cast<double>(failures) - 1.0));
}

}  // namespace

bool may_pass(int status, Repeat repeat) {
  constexpr std::array<int, 6> kPassing = {408, 429, 500, 502, 503, 504};
  if (repeat == Repeat::if_not_done) return status == 429 || status == 503;
  return std::ranges::find(kPassing, status) != kPassing.end();
}

Client::Client(Settings settings, std::stop_token stop)
    : settings_(std::move(settings)),
      origin_(origin_of(settings_.endpoint)),
      connection_(settings_.silence_seconds, std::move(stop)) {}

Response Client::follow(Request request) {
  const std::vector<std::pair<std::string, std::string>> plain = request.headers;
  std::string xet;
  for (std::size_t redirects = 0;; ++redirects) {
    const std::string origin = origin_of(request.url);
    request.headers = plain;
    if (!settings_.token.empty() && origin == origin_)
      request.headers.emplace_back("Authorization", "Bearer " + settings_.token);
    Response response = connection_.exchange(request);
    if (response.headers.contains("x-xet-hash")) xet = response.header("x-xet-hash");
    if (response.redirect.empty()) {
      if (!xet.empty()) response.headers["x-xet-hash"] = xet;  // said by the hub, before it sends on to the storage
      response.body = settings_.without_token(std::move(response.body));
      for (auto& [name, value] : response.headers) value = settings_.without_token(std::move(value));
      return response;
    }
    if (redirects == kMostRedirects) fail("{}: redirects without end", response.host);
    if (origin.starts_with("https:") && !origin_of(response.redirect).starts_with("https:"))
      fail("{}: redirects to a connection that is not encrypted", response.host);
    request.url = std::exchange(response.redirect, {});
  }
}

Response Client::send(Request request, Repeat repeat, std::size_t attempts) {
  for (std::size_t failures = 1;; ++failures) {
    double wait = wait_seconds(failures);
    try {
      Response response = follow(request);
      if (!may_pass(response.status, repeat) || failures >= attempts) return response;
      if (response.retry_after && *response.retry_after > kMostAsked) return response;
      wait = response.retry_after.value_or(wait);
    } catch (const Unreachable&) {
      if (repeat != Repeat::always || failures >= attempts) throw;
    }
    connection_.wait(wait);
  }
}

void Client::wait_after(std::size_t failures) const { connection_.wait(wait_seconds(failures)); }

Request post(std::string url, const std::string& text, const std::string& type) {
  return {.method = Method::post,
          .url = std::move(url),
          .headers = {{"Content-Type", type}},
          .body = std::as_bytes(std::span(text))};
}

}  // namespace strata::hub
