// strata._core.Model: an opened model with its texts and logits as numpy arrays.
// Arrays of the right type go in and come out without a copy.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>

#include "core/interrupt.h"
#include "module.h"
#include "opened_model.h"

namespace nb = nanobind;

namespace strata::python {
namespace {

using Ids = nb::ndarray<const engine::Token, nb::c_contig, nb::device::cpu>;

/// Lets a call run without the GIL and returns what it gives.
template <class Call>
auto without_gil(const Call& call) {
  const nb::gil_scoped_release no_gil;
  return call();
}

nb::ndarray<nb::numpy, engine::Token> tokenize(OpenedModel& self, const std::string& text, bool add_special) {
  std::vector<engine::Token> ids = without_gil(
      [&] { return self.tokenizer().encode(text, add_special ? model::AddSpecial::yes : model::AddSpecial::no); });
  const std::size_t count = ids.size();
  return array_of(std::move(ids), {count});
}

std::string detokenize(OpenedModel& self, const Ids& ids, bool skip_special) {
  return without_gil([&] {
    return self.tokenizer().decode({ids.data(), ids.size()},
                                   skip_special ? model::SkipSpecial::yes : model::SkipSpecial::no);
  });
}

nb::ndarray<nb::numpy, float> logits(OpenedModel& self, const Ids& ids) {
  const std::size_t sequences = ids.ndim() == 2 ? ids.shape(0) : 1, length = ids.shape(ids.ndim() - 1);
  std::vector<float> values = without_gil([&] { return self.logits({ids.data(), ids.size()}, sequences); });
  if (ids.ndim() == 2) return array_of(std::move(values), {sequences, length, self.vocab()});
  return array_of(std::move(values), {length, self.vocab()});
}

nb::list log_likelihoods(OpenedModel& self, const Ids& context, const std::vector<std::vector<engine::Token>>& each) {
  const auto results = without_gil([&] { return self.log_likelihoods({context.data(), context.size()}, each); });
  nb::list list;
  for (const eval::Continuation& result : results) list.append(nb::make_tuple(result.log_likelihood, result.greedy));
  return list;
}

std::string generate(OpenedModel& self, const Ids& prompt, std::size_t max_tokens, double temperature, double top_p,
                     std::uint64_t seed, const std::vector<std::string>& until, bool interruptible) {
  std::optional<InterruptibleWork> work;
  if (interruptible) work.emplace();
  return without_gil([&] {
    return self.generate({prompt.data(), prompt.size()}, max_tokens, {temperature, top_p, seed}, until);
  });
}

std::string render_chat(OpenedModel& self, const std::string& messages, bool add_generation_prompt) {
  return without_gil([&] {
    return self.chat().render(parse_json(messages, "messages"),
                              add_generation_prompt ? model::GenerationPrompt::yes : model::GenerationPrompt::no);
  });
}

/// Ids of the token that begins a text (or None) and of those that end one.
std::pair<std::optional<engine::Token>, std::vector<engine::Token>> ends(OpenedModel& self) {
  return without_gil([&] { return std::pair(self.tokenizer().bos(), self.tokenizer().eos()); });
}

}  // namespace

void add_model(nb::module_& module) {
  nb::class_<OpenedModel>(module, "Model", "A model on disk, opened.")
      .def(nb::init<const std::string&, const std::string&>(), nb::arg("path"), nb::arg("precision"),
           nb::call_guard<nb::gil_scoped_release>())
      .def(
          "describe", [](const OpenedModel& self) { return without_gil([&] { return json_text(self.describe()); }); },
          "What the model is, as JSON: sizes, and every linear.")
      .def("tokenize", &tokenize, nb::arg("text"), nb::arg("add_special"), "Ids (tokens,).")
      .def("detokenize", &detokenize, nb::arg("ids"), nb::arg("skip_special"), "The text of ids (tokens,).")
      .def("logits", &logits, nb::arg("ids"),
           "Logits (tokens, vocab) of ids (tokens,), or (sequences, tokens, vocab) of ids (sequences, tokens).")
      .def("log_likelihoods", &log_likelihoods, nb::arg("context"), nb::arg("continuations"),
           nb::sig("def log_likelihoods(self, context: numpy.typing.NDArray[numpy.uint32], continuations: "
                   "collections.abc.Sequence[collections.abc.Sequence[int]]) -> list[tuple[float, bool]]"),
           "Of each continuation, its log-likelihood in nats, and whether each of its tokens is the most likely one.")
      .def("generate", &generate, nb::arg("prompt"), nb::arg("max_tokens"), nb::arg("temperature"), nb::arg("top_p"),
           nb::arg("seed"), nb::arg("until"), nb::arg("interruptible"), "The text that continues the prompt (tokens,).")
      .def("render_chat", &render_chat, nb::arg("messages"), nb::arg("add_generation_prompt"),
           "The prompt of a conversation, a JSON list of messages.")
      .def(
          "chat_template", [](OpenedModel& self) { return self.chat().source(); }, "The Jinja text.")
      .def("ends", &ends, "The id that begins a text, or None, and the ids that end one.");
}

}  // namespace strata::python
