// An option said once. A struct of options has a function visit(options, visitor) that declares every member's name,
// help and range; its default is the member's. The command line, a job's identity and JSON are visitors of that.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"

namespace strata {

/// What an option changes: the result of a job, or only how the job runs. Results of the same job are the same bytes.
enum class Effect { result, run };

struct OptionInfo {
  std::string name = {};     ///< "--damping", or "MODEL" for an argument without a name
  std::string help = {};     ///< one sentence; the default is added where there is one
  std::string example = {};  ///< a valid value that is not the default, for messages and tests; empty for a flag
  double least = 0, most = std::numeric_limits<double>::infinity();  ///< bounds of a number, both included
  std::vector<std::string> values = {};                              ///< the only words allowed; empty: any
  Effect effect = Effect::result;
  std::string letter = {};   ///< "-o"
  std::string aliases = {};  ///< older spellings that still work and are not shown: "--n-ctx,-c"
  bool required = false;
};

/// The words of an option on a command line, an inner list for every time that it was given.
using OptionWords = std::vector<std::vector<std::string>>;

/// A declared option, whatever its type.
struct OptionValue {
  enum class Kind { flag, one, many, groups };
  Kind kind;  ///< how many words follow the name; groups: those of each time count separately
  std::function<void(const OptionWords&)> set;  ///< throws UsageError that opens with the option's name
  std::function<json()> get;                    ///< null when it is not given and has no default
  const char* placeholder = "TEXT";             ///< what stands for a word on a help page
  std::function<json()> identity = {};          ///< what a job depends on, where that is not get(): a file's content
};

class OptionVisitor {
 public:
  virtual ~OptionVisitor() = default;
  virtual void declare(const OptionInfo& info, const OptionValue& value) = 0;
  /// What the options that follow are about, for a help page.
  virtual void heading(const std::string& text);

  /// Whether a word turns a flag on. Throws UsageError for a word that is neither "true" nor "false".
  static bool check_flag(const std::string& name, const std::string& word);
  /// A flag that is on by default is turned off by --no-NAME.
  void flag(const OptionInfo& info, bool& value);
  void option(const OptionInfo& info, std::size_t& value);
  void option(const OptionInfo& info, double& value);
  void option(const OptionInfo& info, std::string& value);
  void option(const OptionInfo& info, std::filesystem::path& value);
  void option(const OptionInfo& info, std::optional<std::size_t>& value);
  void option(const OptionInfo& info, std::optional<double>& value);
  void option(const OptionInfo& info, std::optional<std::string>& value);
  /// A size such as 90MiB, and a time such as 60s.
  void bytes(const OptionInfo& info, std::uint64_t& value);
  void bytes(const OptionInfo& info, std::optional<std::uint64_t>& value);
  void seconds(const OptionInfo& info, std::optional<double>& value);
  /// May be given several times.
  void list(const OptionInfo& info, std::vector<std::string>& value);
  /// Words separated by commas; the word `all`, unless it is empty, stands for an empty list.
  void comma_list(const OptionInfo& info, std::vector<std::string>& value, std::string_view all = {});
  /// LEFT=RIGHT, may be given several times. `shape` is what an error expects: "REGEX=CODEC".
  void pairs(const OptionInfo& info, std::vector<std::pair<std::string, std::string>>& value, const char* shape);
  /// A file that a job reads: its identity is its content.
  void file(const OptionInfo& info, std::filesystem::path& value);
  /// Files, an inner list for every time that the option is given.
  void files(const OptionInfo& info, std::vector<std::vector<std::filesystem::path>>& value);
  /// One word of a few, each a value of an enum.
  template <class Enum>
  void choice(OptionInfo info, Enum& value, std::initializer_list<std::pair<const char*, Enum>> words) {
    std::vector<std::pair<std::string, int>> numbers;
    for (const auto& [word, meaning] : words) {
      info.values.emplace_back(word);
      numbers.emplace_back(word, static_cast<int>(meaning));
    }
    choose(
        info, [&value](int number) { value = static_cast<Enum>(number); }, [&value] { return static_cast<int>(value); },
        numbers);
  }
  /// An option of a type of its own: `set` reads a text and throws UsageError, `get` shows it again.
  void text(const OptionInfo& info, std::function<void(const std::string&)> set, std::function<json()> get,
            const char* placeholder = "TEXT");

 private:
  void choose(const OptionInfo& info, std::function<void(int)> set, std::function<int()> get,
              const std::vector<std::pair<std::string, int>>& words);
};

/// "--act-order" -> "act_order".
std::string json_key(const OptionInfo& info);
/// Throws UsageError for a text that is no number within the option's bounds.
double parse_number(const OptionInfo& info, const std::string& text);
std::size_t parse_count(const OptionInfo& info, const std::string& text);

/// Calls visit(options, visitor) and gathers, by the option's name, what a job with these options depends on.
template <class Options>
json identity_of(const Options& options);
/// The options that are not as they are by default, by json_key(): a record of what was asked for.
template <class Options>
json record_of(const Options& options);

namespace detail {
class Gatherer final : public OptionVisitor {
 public:
  explicit Gatherer(bool identity) : identity_(identity) {}
  void declare(const OptionInfo& info, const OptionValue& value) override;
  json gathered = json::object();

 private:
  bool identity_;
};
}  // namespace detail

template <class Options>
json identity_of(const Options& options) {
  detail::Gatherer gatherer(true);
  Options copy = options;
  visit(copy, gatherer);
  return std::move(gatherer.gathered);
}

template <class Options>
json record_of(const Options& options) {
  detail::Gatherer now(false), plain(false);
  Options copy = options, defaults;
  visit(copy, now);
  visit(defaults, plain);
  for (const auto& [key, value] : plain.gathered.items())
    if (now.gathered.contains(key) && now.gathered[key] == value) now.gathered.erase(key);
  return std::move(now.gathered);
}

}  // namespace strata
