// What norms compute, as data.
#pragma once

namespace strata::model {

/// RMS norms of q and k: of each head, or of all heads together.
enum class QkNorm { none, per_head, whole };

/// What norms of rows of the hidden size divide by: the root mean square, or the standard deviation after the mean was
/// taken off.
enum class NormKind { rms, layer };

}  // namespace strata::model
