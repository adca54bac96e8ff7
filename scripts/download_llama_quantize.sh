#!/usr/bin/env bash
# Puts llama.cpp's library with llama_model_quantize into build/llama-quantize and prints that folder. PyPI's xllamacpp
# leaves this function out; node-llama-cpp's npm package, built from a release of llama.cpp, has it.
# usage: scripts/download_llama_quantize.sh   It does nothing when the folder is there.
set -euo pipefail

version=3.22.1  # llama.cpp v0.5.0
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/build/llama-quantize
if [ ! -f "$folder/made-$version" ]; then
  rm -rf "$folder" "$folder.part"
  mkdir -p "$folder.part"
  (cd "$folder.part" && npm pack --silent "@node-llama-cpp/linux-x64@$version" >/dev/null)
  tar -xzf "$folder.part"/*.tgz -C "$folder.part" --strip-components=3 package/bins/linux-x64
  rm "$folder.part"/*.tgz
  touch "$folder.part/made-$version"
  mv "$folder.part" "$folder"
fi
printf '%s\n' "$folder"
