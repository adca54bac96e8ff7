// Models from the hub and to it, as a user asks for them (docs/hub.md).
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/options.h"
#include "hub/pull.h"
#include "hub/push.h"

namespace strata::pipeline {

struct PullRequest {
  std::string repository;            ///< ORG/NAME[@REVISION][:FILE], with or without hf:
  std::vector<std::string> include;  ///< patterns; empty for what a model needs
};
void visit(PullRequest& request, OptionVisitor& visitor);

/// Fetches a model into the cache that huggingface_hub uses too. Where HF_HUB_OFFLINE is set the result has the folder
/// alone. Throws Error as hub::pull, and for a repository that an offline cache lacks; Interrupted after Ctrl-C, when
/// what has arrived is kept.
hub::Pulled pull(const PullRequest& request);
/// path, commit, fetched_bytes, files and left_out (name, bytes); of an offline cache path and fetched_bytes.
json to_json(const hub::Pulled& pulled);

struct PushRequest {
  std::string output, repository, message;
  bool create = false, is_private = false;
};
void visit(PushRequest& request, OptionVisitor& visitor);

struct Published {
  std::string repository;
  bool created = false;
  hub::Pushed pushed;
};

/// Asks a person whether a repository that is not there shall be made; `name` at `endpoint`.
using MayCreate = std::function<bool(const std::string& name, const std::string& endpoint)>;

/// Commits a checkpoint to a repository, which is made where the request says so, or where `may_create` (if there is
/// one) allows it. Throws Error for a repository that is not there otherwise, and as hub::push.
Published push(const PushRequest& request, const MayCreate& may_create = nullptr);
/// repository, created, commit and url (null where nothing has changed), files, bytes.
json to_json(const Published& published);

}  // namespace strata::pipeline
