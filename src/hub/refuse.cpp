// Why the hub refuses: its status and its header X-Error-Code, as a sentence that says what to do.
// huggingface_hub's hf_raise_for_status tells the same cases apart.
#include <algorithm>
#include <string_view>

#include "core/json.h"
#include "core/units.h"
#include "hub/repository.h"

namespace strata::hub {
namespace {

/// The text of a body such as {"error": "..."}; empty for any other.
std::string error_in(const std::string& body) {
  try {
    const json value = parse_json(body, "answer");
    return value.is_object() ? get_or<std::string>(value, "error", "", "answer") : "";
  } catch (const Error&) {
    return {};
  }
}

/// What a server says, in one line of plain characters; empty where it says nothing.
std::string said_by(const Response& response) {
  constexpr std::size_t most = 300;
  std::string text = response.header("x-error-message");
  if (text.empty()) text = error_in(response.body);
  if (text.empty() && response.header("content-type").starts_with("text/plain")) text = response.body;
  text = text.substr(0, most);
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < 0x20 || c >= 0x7F; }, ' ');
  const std::size_t end = text.find_last_not_of(' ');
  return end == std::string::npos ? "" : fmt::format(" (\"{}\")", text.substr(0, end + 1));
}

/// How a person who has no token, or one that does not serve, gets another.
std::string other_token(const Settings& settings) {
  return settings.token.empty() ? "set HF_TOKEN to a token of an account that may (or run `hf auth login`)"
                                : fmt::format(
                                      "the token that was sent is not of an account that may; set another as HF_TOKEN "
                                      "({}/settings/tokens)",
                                      settings.endpoint);
}

std::string unknown_name(const Settings& settings) {
  return settings.token.empty()
             ? "no such public repository; mind the spelling, or set HF_TOKEN (or run `hf auth login`) if it is private"
             : "no such repository that this token may see; mind the spelling, and whose token it is if it is private";
}

}  // namespace

void refuse(const Response& response, const Settings& settings, const RepositoryName& repository,
            const std::string& file) {
  const std::string& code = response.header("x-error-code");
  const std::string where = fmt::format("hf:{}{}", repository.text(), file.empty() ? "" : ": " + file);
  const std::string said = said_by(response);
  if (code == "GatedRepo")
    fail("{}: is gated: accept its terms at {}/{}, then {}", where, settings.endpoint, repository.name,
         settings.token.empty() ? "set HF_TOKEN to a token of that account (or run `hf auth login`)"
                                : "use a token of that account; the one that was sent is of none that has");
  if (code == "RevisionNotFound") fail("{}: has no revision '{}'", where, repository.revision);
  if (code == "EntryNotFound") fail("{}: has no such file at revision '{}'", where, repository.revision);
  switch (response.status) {
    case 401:
      if (code != "RepoNotFound" && !settings.token.empty())
        fail("{}: {} does not accept the token{}: make a new one at {}/settings/tokens", where, response.host, said,
             settings.endpoint);
      fail("{}: {}", where, unknown_name(settings));
    case 403:
      fail("{}: {} refuses access{}: {}", where, response.host, said, other_token(settings));
    case 404:
      fail("{}: {}", where, file.empty() ? unknown_name(settings) : "no such file");
    case 429:
      fail("{}: {} takes no more requests for now{}: try again in {}{}", where, response.host, said,
           human_seconds(response.retry_after.value_or(300.0)),
           settings.token.empty() ? "; with a token (HF_TOKEN) it takes more" : "");
    default:
      fail("{}: {} answers with status {}{}{}", where, response.host, response.status, said,
           response.status >= 500 ? ": it has trouble of its own; try again later" : "");
  }
}

}  // namespace strata::hub
