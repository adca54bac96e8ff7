// How the inputs of linears are declared to be rounded in files of methods other than compressed-tensors, and the
// scales that files hold for inputs. docs/formats/activations.md lists what is read.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "codec/activations.h"
#include "core/json.h"
#include "format/safetensors.h"
#include "model/hf/places.h"

namespace strata::model {

/// What quantization_config says of all linears whose weights it quantizes.
class InputRounding {
 public:
  /// quant_method "fp8", "fbgemm_fp8", "modelopt" or "mxfp4"; nothing in the object makes this throw.
  static InputRounding of_method(const std::string& method, const json& config);
  bool known() const { return !method_.empty(); }
  codec::ActivationRounding::Kind of_place(const Place& place) const;

 private:
  std::string method_, scheme_;  ///< scheme_: fp8's "activation_scheme"
};

/// The number that a tensor holds, where it is one positive number with a finite reciprocal. tensor: may be nullptr.
std::optional<float> scale_in(const format::TensorView* tensor);

/// A kind with the scale that it needs: find(suffix) gives the tensor beside a linear's weight, or nullptr. A kind
/// whose scale is missing, or is no positive number with a finite reciprocal, is unknown.
codec::ActivationRounding with_scale(codec::ActivationRounding::Kind kind,
                                     const std::function<const format::TensorView*(std::string_view suffix)>& find);

}  // namespace strata::model
