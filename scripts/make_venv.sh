#!/usr/bin/env bash
# Makes build/venv-NAME from requirements-NAME.txt of tests/peers, tests/python or bench/peers (every package pinned) and
# prints its path. usage: scripts/make_venv.sh hf|vllm|llama|mlx|recipes|wheel|llmcompressor|autoround|modelopt|quanto
# It does nothing when the environment is there and the file has not changed. STRATA_PYTHON: which Python (python3).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name=${1:?which environment: hf, vllm, llama, mlx, recipes, wheel, llmcompressor, autoround, modelopt or quanto}
for folder in tests/peers tests/python bench/peers; do
  requirements=$root/$folder/requirements-$name.txt
  [ ! -f "$requirements" ] || break
done
venv=$root/build/venv-$name
if ! cmp -s "$requirements" "$venv/made-for"; then
  tools=$("$root/scripts/tools_venv.sh")
  # Both environments hold the same torch: uv links it from one cache, so it is downloaded and stored once.
  export UV_CACHE_DIR=$root/build/uv-cache UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=$venv
  rm -rf "$venv"
  "$tools/bin/uv" venv -q --python "${STRATA_PYTHON:-python3}" "$venv"
  "$tools/bin/uv" pip install -q --no-deps -r "$requirements"
  cp "$requirements" "$venv/made-for"
fi
printf '%s\n' "$venv"
