// Scoring as a user asks for it: the importance of every block and linear, of which plans for every budget are made.
// A command line or a Python module calls score() and is told by a Listener what happens.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/options.h"
#include "importance/judge.h"
#include "importance/score.h"
#include "kernel/matmul.h"
#include "pipeline/job/listener.h"
#include "pipeline/plan/smoothing.h"

namespace strata::pipeline {

struct ScoringRequest {
  std::filesystem::path model;
  std::string output;                  ///< scores.json, or a table when its name ends in .csv; empty: no file
  std::string imatrix;                 ///< also an importance matrix for llama-quantize; empty: none
  std::string target = "vllm", prior;  ///< prior: a file of rules; empty: those of the literature
  std::vector<std::string> signals, codecs, kl_codecs = {"int4_g64", "nvfp4", "int8_channel"};
  std::size_t kl_tokens = 512;
  kernel::Precision precision = kernel::Precision::f32;
  Smoothing smoothing;
  codec::ScaleFit scale_fit = codec::ScaleFit::search;
  importance::Combine combine = importance::Combine::mean;
  bool judge = false;
  importance::CalibrationRequest calibration;
};
void visit(ScoringRequest& request, OptionVisitor& visitor);

/// How well every signal agrees with the divergence that was measured with one codec, best first within a level.
struct JudgedCodec {
  const codec::Codec* codec;
  std::vector<importance::Judgement> signals;
};

struct Scored {
  importance::Scores scores;
  std::map<std::string, double> seconds;  ///< by signal; all signals of one pass have the whole pass's time
  std::vector<JudgedCodec> judged;        ///< with --judge
  bool of_weights_alone = false;          ///< the model cannot be run
  double took = 0;                        ///< seconds of the whole work
};

/// Scores the model and writes the files that were asked for. Interrupted or killed, the same call resumes where
/// `output` was given, to the same scores. Throws UsageError for a request that contradicts itself, Error for a model
/// that cannot be scored so, and Interrupted after Ctrl-C.
Scored score(const ScoringRequest& request, Listener& listener);

/// scores.json, and with --judge what it found.
json to_json(const Scored& scored);

}  // namespace strata::pipeline
