#!/usr/bin/env bash
# Makes build/venv-tools, the small Python environment of the scripts: pip for downloads, numpy, and uv.
# It prints the path, and does nothing else when the environment is there already.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/build/venv-tools
wanted="numpy==2.3.5 uv==0.13.9"
if [ "$(cat "$venv/made-for" 2>/dev/null)" != "$wanted" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  # shellcheck disable=SC2086  # the variable is a list of words
  "$venv/bin/pip" install -q --disable-pip-version-check $wanted
  printf '%s\n' "$wanted" >"$venv/made-for"
fi
printf '%s\n' "$venv"
