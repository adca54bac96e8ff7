// strata._core.Model: an opened model with its texts and logits as numpy arrays.
// Arrays of the right type go in and come out without a copy.
#include <nanobind/stl/string.h>

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

}  // namespace

void add_model(nb::module_& module) {
  nb::class_<OpenedModel>(module, "Model", "A model on disk, opened.")
      .def(nb::init<const std::string&, const std::string&>(), nb::arg("path"), nb::arg("precision"))
      .def(
          "describe", [](const OpenedModel& self) { return json_text(self.describe()); },
          "What the model is, as JSON: sizes, and every linear.")
      .def("tokenize", &tokenize, nb::arg("text"), nb::arg("add_special"), "Ids (tokens,).")
      .def("detokenize", &detokenize, nb::arg("ids"), nb::arg("skip_special"), "The text of ids (tokens,).")
      .def("logits", &logits, nb::arg("ids"),
           "Logits (tokens, vocab) of ids (tokens,), or (sequences, tokens, vocab) of ids (sequences, tokens).");
}

}  // namespace strata::python
