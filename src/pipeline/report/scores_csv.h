// Scores as one flat table of comma-separated values, for spreadsheets and for programs that plot.
// scores.json stays the file that strata reads.
#pragma once
#include <string>

#include "importance/scores.h"

namespace strata::pipeline {

/// A heading, then one row for each value: signal, of ("block", "linear" or "group"), name (the block's index, the
/// module of the linear, the name of the group), codec (empty for signals that depend on none), value, stderr (empty
/// where there is none). Values of linears under codecs are relative errors, and their standard errors too. Rows are in
/// the order of the signals' table and of the model; numbers are written so that reading gives the same double.
std::string scores_csv(const importance::Scores& scores, const model::Architecture& architecture);

}  // namespace strata::pipeline
