// What config.json says of the text model of a wrapper, which sees, hears or speaks too.
#pragma once
#include <string>

#include "core/json.h"

namespace strata::model {

/// What config.json says of the text model: its text_config where it describes a wrapper, otherwise all of it. Throws
/// Error without a "model_type", which is a string in what it returns.
json text_configuration(const json& config, const std::string& where);
/// Whether config.json describes a model of more than text, whose text model has a part of it.
bool is_wrapper(const json& config);
/// Whether config.json leaves it to the class of a wrapper that makes text whether lm_head is the embedding: such a
/// class has a default of its own, so that the files show it. text: its text_configuration.
bool leaves_ties_to_class(const json& config, const json& text);

}  // namespace strata::model
