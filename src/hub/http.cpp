// Exchanges by libcurl's easy interface.
// No exception passes through libcurl: callbacks keep it, end the transfer, and it is thrown again afterwards.
#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string_view>
#include <thread>

#include "core/interrupt.h"

namespace strata::hub {
namespace {

constexpr std::size_t kMostBody = 256u << 20;     // of an answer that is kept in memory, such as a list of files
constexpr std::size_t kMostErrorBody = 1u << 20;  // of an answer that only says what went wrong
constexpr std::size_t kMostHeaders = 256;         // lines
constexpr long kConnectSeconds = 15;
constexpr long kWorkSeconds = 60;  // that a server may take for what it was sent

/// What the callbacks of one exchange share.
struct Transfer {
  const Request& request;
  const std::stop_token& stop;
  Response response = {};
  std::size_t sent = 0;
  bool sink_begun = false;
  std::exception_ptr thrown = {};

  /// Runs `work` and returns whether it went well; what it throws is kept.
  template <class Work>
  bool guarded(const Work& work) {
    try {
      work();
      return true;
    } catch (...) {
      thrown = std::current_exception();
      return false;
    }
  }

  void on_header(std::string_view line) {
    if (line.starts_with("HTTP/")) {  // a new answer begins: after "100 Continue", or a proxy's own
      response.headers.clear();
      const std::size_t space = line.find(' ');
      response.status = space == std::string_view::npos ? 0 : std::atoi(std::string(line.substr(space + 1)).c_str());
      return;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || response.headers.size() >= kMostHeaders) return;
    std::string name(line.substr(0, colon));
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    std::string_view value = line.substr(colon + 1);
    const std::size_t begin = value.find_first_not_of(" \t\r\n"), end = value.find_last_not_of(" \t\r\n");
    value = begin == std::string_view::npos ? "" : value.substr(begin, end - begin + 1);
    response.headers[name] = value;
  }

  void on_body(std::span<const std::byte> bytes) {
    if (request.sink != nullptr && response.succeeded()) {
      if (!sink_begun) request.sink->begin(response);
      sink_begun = true;
      request.sink->write(bytes);
      return;
    }
    const std::size_t most = response.succeeded() ? kMostBody : kMostErrorBody;
    if (response.body.size() + bytes.size() > most) {
      if (!response.succeeded()) return;
      fail("{}: its answer is larger than {} MiB, which no answer of the hub is", response.host, most >> 20);
    }
    response.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  std::size_t on_send(char* to, std::size_t size) {
    const auto part = request.body.subspan(sent, std::min(size, request.body.size() - sent));
    std::memcpy(to, part.data(), part.size());
    sent += part.size();
    if (request.on_sent) request.on_sent(part.size());
    return part.size();
  }
};

std::size_t header_arrived(char* data, std::size_t size, std::size_t count, void* transfer) {
  auto& t = *static_cast<Transfer*>(transfer);
  return t.guarded([&] { t.on_header({data, size * count}); }) ? size * count : 0;
}

std::size_t body_arrived(char* data, std::size_t size, std::size_t count, void* transfer) {
  auto& t = *static_cast<Transfer*>(transfer);
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size * count);
  return t.guarded([&] { t.on_body(bytes); }) ? bytes.size() : CURL_WRITEFUNC_ERROR;
}

std::size_t body_wanted(char* to, std::size_t size, std::size_t count, void* transfer) {
  auto& t = *static_cast<Transfer*>(transfer);
  std::size_t sent = 0;
  return t.guarded([&] { sent = t.on_send(to, size * count); }) ? sent : CURL_READFUNC_ABORT;
}

int body_wanted_again(void* transfer, curl_off_t offset, int origin) {
  auto& t = *static_cast<Transfer*>(transfer);
  if (origin != SEEK_SET || offset < 0 || static_cast<std::uint64_t>(offset) > t.request.body.size())
    return CURL_SEEKFUNC_FAIL;
  t.sent = static_cast<std::size_t>(offset);
  return CURL_SEEKFUNC_OK;
}

void check_stop(const std::stop_token& stop) {
  check_interrupt();
  if (stop.stop_requested()) throw Interrupted();
}

int time_passed(void* transfer, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& t = *static_cast<Transfer*>(transfer);
  return t.guarded([&] { check_stop(t.stop); }) ? 0 : 1;
}

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

HeaderList header_list(const Request& request) {
  HeaderList list;
  const auto add = [&](const std::string& line) {
    STRATA_CHECK(line.find_first_of("\r\n") == std::string::npos);
    curl_slist* const longer = curl_slist_append(list.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    list.release();
    list.reset(longer);
  };
  add("Expect:");                    // no round trip before a body is sent
  add("Accept-Encoding: identity");  // sizes and ranges are those of the files
  for (const auto& [name, value] : request.headers) add(name + ": " + value);
  return list;
}

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

std::string url_part(CURLU* url, CURLUPart part, unsigned flags = CURLU_DEFAULT_PORT) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK || text == nullptr) return {};
  std::string result = text;
  curl_free(text);
  return result;
}

std::unique_ptr<CURLU, FreeUrl> parsed(const std::string& url) {
  std::unique_ptr<CURLU, FreeUrl> parts(curl_url());
  if (parts == nullptr || curl_url_set(parts.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK)
    fail("the hub's server gives an address that is none");
  return parts;
}

/// "huggingface.co", or with its port where the address has one.
std::string host_of(const std::string& url) {
  const auto parts = parsed(url);
  const std::string port = url_part(parts.get(), CURLUPART_PORT, 0);
  return url_part(parts.get(), CURLUPART_HOST) + (port.empty() ? "" : ":" + port);
}

void set_up(CURL* curl, Transfer& transfer, curl_slist* headers, long silence_seconds) {
  const Request& request = transfer.request;
  curl_easy_reset(curl);  // keeps the connection
  const auto set = [curl](CURLoption option, auto value) {
    const CURLcode code = curl_easy_setopt(curl, option, value);
    if (code != CURLE_OK) fail("libcurl of this machine: {} (option {})", curl_easy_strerror(code), int(option));
  };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_USERAGENT, "strata; libcurl");
  // Networks with certificates of their own: the variable that OpenSSL, httpx and the curl program read.
  if (const char* trusted = std::getenv("SSL_CERT_FILE"); trusted != nullptr && *trusted != '\0')
    set(CURLOPT_CAINFO, trusted);
  set(CURLOPT_HTTPHEADER, headers);
  set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, silence_seconds);
  set(CURLOPT_BUFFERSIZE, 512L << 10);
  set(CURLOPT_HEADERFUNCTION, &header_arrived);
  set(CURLOPT_HEADERDATA, &transfer);
  set(CURLOPT_WRITEFUNCTION, &body_arrived);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, &time_passed);
  set(CURLOPT_XFERINFODATA, &transfer);
  if (request.method == Method::head) set(CURLOPT_NOBODY, 1L);
  if (request.method != Method::post && request.method != Method::put) return;
  set(CURLOPT_UPLOAD, 1L);
  if (request.method == Method::post) set(CURLOPT_CUSTOMREQUEST, "POST");
  set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  set(CURLOPT_READFUNCTION, &body_wanted);
  set(CURLOPT_READDATA, &transfer);
  set(CURLOPT_SEEKFUNCTION, &body_wanted_again);
  set(CURLOPT_SEEKDATA, &transfer);
}

bool may_pass(CURLcode code) {
  constexpr CURLcode kLasting[] = {CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT, CURLE_PEER_FAILED_VERIFICATION,
                                   CURLE_SSL_CACERT_BADFILE,   CURLE_OUT_OF_MEMORY, CURLE_TOO_MANY_REDIRECTS};
  return std::ranges::find(kLasting, code) == std::end(kLasting);
}

}  // namespace

const std::string& Response::header(const std::string& name) const {
  static const std::string none;
  const auto it = headers.find(name);
  return it == headers.end() ? none : it->second;
}

std::string origin_of(const std::string& url) {
  const auto parts = parsed(url);
  std::string host = url_part(parts.get(), CURLUPART_HOST);
  const std::string scheme = url_part(parts.get(), CURLUPART_SCHEME);
  std::ranges::transform(host, host.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (host.empty() || (scheme != "http" && scheme != "https"))
    fail("the hub's server gives an address that is neither http nor https");
  return fmt::format("{}://{}:{}", scheme, host, url_part(parts.get(), CURLUPART_PORT));
}

std::string percent_encoded(const std::string& text, bool keep_slashes) {
  constexpr std::string_view kPlain = "-._~";
  std::string result;
  for (const unsigned char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    const bool plain = letter || kPlain.find(static_cast<char>(c)) != kPlain.npos || (keep_slashes && c == '/');
    result += plain ? std::string(1, static_cast<char>(c)) : fmt::format("%{:02X}", c);
  }
  return result;
}

void Connection::Free::operator()(void* handle) const { curl_easy_cleanup(handle); }

Connection::Connection(long silence_seconds, std::stop_token stop)
    : silence_seconds_(silence_seconds), stop_(std::move(stop)) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);  // once for the process
  if (ready != CURLE_OK) fail("libcurl cannot be set up: {}", curl_easy_strerror(ready));
  handle_.reset(curl_easy_init());
  if (handle_ == nullptr) fail("libcurl cannot be set up");
}

Response Connection::exchange(const Request& request) {
  check_stop(stop_);
  Transfer transfer{request, stop_};
  transfer.response.host = host_of(request.url);
  const HeaderList headers = header_list(request);
  const long silence = request.body.empty() ? silence_seconds_ : std::max(silence_seconds_, kWorkSeconds);
  set_up(handle_.get(), transfer, headers.get(), silence);
  const CURLcode code = curl_easy_perform(handle_.get());
  if (transfer.thrown) std::rethrow_exception(transfer.thrown);
  Response& response = transfer.response;
  if (code != CURLE_OK && may_pass(code))
    throw Unreachable(fmt::format("{}: {}", response.host, curl_easy_strerror(code)));
  if (code != CURLE_OK) fail("{}: {}", response.host, curl_easy_strerror(code));
  if (request.sink != nullptr && response.succeeded() && !transfer.sink_begun) request.sink->begin(response);
  char* redirect = nullptr;
  if (curl_easy_getinfo(handle_.get(), CURLINFO_REDIRECT_URL, &redirect) == CURLE_OK && redirect != nullptr)
    response.redirect = redirect;
  curl_off_t seconds = 0;
  if (curl_easy_getinfo(handle_.get(), CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0)
    response.retry_after = static_cast<double>(seconds);
  return std::move(response);
}

void Connection::wait(double seconds) const {
  using std::chrono::steady_clock;
  const auto end = steady_clock::now() + std::chrono::duration<double>(seconds);
  for (check_stop(stop_); steady_clock::now() < end; check_stop(stop_))
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

}  // namespace strata::hub
