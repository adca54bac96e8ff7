#!/usr/bin/env bash
# Checks that all C++ is formatted as .clang-format says (clang-format 14, Debian 12's). `--fix` formats it instead.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode=(--dry-run -Werror)
[ "${1:-}" != --fix ] || mode=(-i)
mapfile -t folders < <(for folder in src python/src tests bench; do [ -d $folder ] && echo $folder; done)
mapfile -t files < <(find "${folders[@]}" -name '*.cpp' -o -name '*.h' | sort)
formatter=$(command -v clang-format-14 || command -v clang-format)
[ ${#files[@]} -eq 0 ] || "$formatter" "${mode[@]}" "${files[@]}"
echo "format: ${#files[@]} files"
