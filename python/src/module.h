// What each source of the Python module adds to it, and how vectors become arrays.
// The module is strata._core; the classes that people use are in python/strata and stand on it.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <initializer_list>
#include <utility>
#include <vector>

namespace strata::python {

void add_errors(nanobind::module_& module);
void add_hub(nanobind::module_& module);
void add_jobs(nanobind::module_& module);
void add_model(nanobind::module_& module);
void add_reports(nanobind::module_& module);

/// A numpy array of this shape that owns the values: nothing is copied. The caller holds the GIL.
template <class T>
nanobind::ndarray<nanobind::numpy, T> array_of(std::vector<T> values, std::initializer_list<std::size_t> shape) {
  auto* owned = new std::vector<T>(std::move(values));
  const nanobind::capsule owner(owned, [](void* data) noexcept { delete static_cast<std::vector<T>*>(data); });
  return nanobind::ndarray<nanobind::numpy, T>(owned->data(), shape, owner);
}

}  // namespace strata::python
