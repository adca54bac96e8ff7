// A model whose model_type no family describes: its linears are found by names and shapes of tensors alone. It cannot
// be run; its weights can be rounded.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"
#include "model/model.h"

namespace strata::model {

/// The architecture of a model_type that is not known: why it cannot be run, no blocks yet, and all sizes of a forward
/// pass 0. config: the text model's (text_configuration).
Architecture unknown_architecture(const json& config);

/// Whether a folder has all linears of an architecture but the head, some of them as wide as find_linears wants them:
/// rewards, classes or embeddings are what such a model is for.
bool lacks_head(const Architecture& architecture, const TensorSource& source);
/// The same as unknown_architecture of such a model.
Architecture architecture_without_head(const json& config);

/// Fills in the blocks, linears and fusion groups that the tensors of a folder show. Of all names PREFIX.N.REST with a
/// number N the PREFIX with most weights names the blocks. Their linears are the matrices "*.weight", dense or
/// quantized, with 128 or more rows and columns, except routers, embeddings, norms, convolutions, indexers, and
/// matrices that are stored with inputs first. Blocks with an N of num_hidden_layers or more have none: they predict
/// several tokens at once. A block's index is its place among those that have linears. `where` names the model in
/// errors. Throws Error where nothing repeats.
void find_linears(Architecture& architecture, const json& config, const TensorSource& source, const std::string& where);

/// All tensors that are no linear's weights, which are copied as they are.
std::vector<TensorInfo> carried_of_unknown(const Architecture& architecture, const TensorSource& source);

/// Throws Error for an unknown model with a quantized tensor that is no linear's: a copy could not say how it is read.
void check_copies(const Model& model);

/// Throws Error for an unknown model, whose tensors have no known names in a GGUF file.
void check_gguf_names(const Architecture& architecture, const std::string& where);

}  // namespace strata::model
