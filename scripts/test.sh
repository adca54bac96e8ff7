#!/usr/bin/env bash
# Checks everything that must hold: set-up, build, tests, sanitizers, fuzzing, and comparisons with transformers, vLLM and
# llama.cpp. It starts from nothing on a fresh Debian 12; what it installs and builds stays in build/ for the next run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'EOF'
usage: scripts/test.sh [STAGE...]      (none: all of them, in this order)

  lint      layers and rooms, sizes of files and functions, paths that pages name, formatting
  release   optimized build, all tests
  debug     AddressSanitizer and UndefinedBehaviorSanitizer, all tests but those that run a whole model
  fuzz      every reader's fuzz target, FUZZ_SECONDS each (default 15)
  python    the wheel of the Python package, installed into a fresh environment, and its tests
  peers     checkpoints, logits and perplexity against transformers, vLLM, llama.cpp and mlx-lm; the report in Chromium

JOBS (default: number of CPUs) bounds what runs at once.
EOF
}

all=(lint release debug fuzz python peers)
stages=("$@")
[ $# -gt 0 ] || stages=("${all[@]}")
for stage in "${stages[@]}"; do
  case $stage in
    lint | release | debug | fuzz | python | peers) ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
wants() { [[ " ${stages[*]} " == *" $1 "* ]]; }

jobs=${JOBS:-$(nproc)}
fuzz_seconds=${FUZZ_SECONDS:-15}
summary=()
failed=0

# `start NAME COMMAND...` runs a command in the background with its output in build/NAME.log; `finish NAME` waits for it
# and checks how it ended.
declare -A started=()
start() {
  local name=$1
  shift
  "$@" >"build/$name.log" 2>&1 &
  started[$name]=$!
}
finish() {
  [ -n "${started[$1]:-}" ] || return 0
  local pid=${started[$1]}
  unset "started[$1]"
  wait "$pid" || { echo "making $1 failed:" >&2; tail -n 20 "build/$1.log" >&2; return 1; }
}

make_models() {
  local python gguf
  gguf=$(scripts/download_smollm2.sh) || return 1
  python=$(scripts/tools_venv.sh)/bin/python || return 1
  [ -d build/models/smollm2 ] || "$python" scripts/make_testbed.py "$gguf" build/models/smollm2 || return 1
  [ -d build/models/smollm2-dither1 ] || "$python" scripts/make_testbed.py "$gguf" build/models/smollm2-dither1 --dither 1
}

make_venvs() {
  for name in vllm hf llama mlx recipes; do scripts/make_venv.sh $name || return 1; done
  scripts/download_llama_quantize.sh
}

build() {  # build PRESET [TARGET]
  cmake --preset "$1" >"build/configure-$1.log" 2>&1 || { cat "build/configure-$1.log"; return 1; }
  cmake --build --preset "$1" -j "$jobs" ${2:+--target "$2"}
}

stage_lint() { python3 scripts/check_layers.py && python3 scripts/check_sizes.py && python3 scripts/check_paths.py && scripts/check_format.sh; }

stage_release() {
  build release || return 1
  finish models || return 1
  ctest --preset release -j "$jobs"
}

stage_debug() {
  build debug || return 1
  # A whole model takes minutes under the sanitizers; the same code runs in the tests on tiny models. So do finite
  # differences, which run a block hundreds of times. The memory of a large plan is not the program's own there.
  GTEST_FILTER='-*SmolLm2*:*SmolLM2*:*GradientsEqualFiniteDifferences*:*StaysSmall' ctest --preset debug -j "$jobs"
}

fuzz_one() {  # fuzz_one TARGET: starts from a copy of the corpus, so that what it finds stays out of the sources
  local target=$1 name=${1#fuzz_} seconds=$2
  local work=build/fuzz-run/$name
  rm -rf "$work"
  mkdir -p "$work/corpus"
  [ ! -d "tests/fuzz/corpus/$name" ] || cp -r "tests/fuzz/corpus/$name/." "$work/corpus/"
  if UBSAN_OPTIONS=halt_on_error=1 "build/debug/tests/fuzz/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 \
    -artifact_prefix="$work/" "$work/corpus" >"$work/log" 2>&1; then
    echo "$target: passed, $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log") inputs"
  else
    tail -n 60 "$work/log"
    echo "$target: FAILED; the input is in $work"
    return 1
  fi
}

stage_fuzz() {
  build debug fuzzers || return 1
  local targets
  targets=$(find build/debug/tests/fuzz -maxdepth 1 -type f -name 'fuzz_*' -executable -printf '%f\n' | sort)
  [ -n "$targets" ] || { echo "no fuzz targets were built"; return 1; }
  export -f fuzz_one
  xargs -P "$jobs" -I TARGET bash -c "fuzz_one TARGET $fuzz_seconds" <<<"$targets"
}

stage_python() {
  [ -x build/release/strata ] || build release || return 1
  finish models || return 1
  scripts/build_wheel.sh || return 1
  build/venv-python/bin/python -m pytest tests/python -q -rs --durations=5
}

stage_peers() {
  [ -x build/release/strata ] || build release || return 1
  finish models || return 1
  finish venvs || return 1
  # Two files at a time: for much of it, Python loads packages on one processor.
  STRATA=build/release/strata STRATA_PEERS_REQUIRED=1 build/venv-hf/bin/python -m pytest tests/peers -q -rs --durations=5 \
    -n 2 --dist loadfile
}

run_stage() {
  local name=$1 before=$SECONDS result=ok
  printf '\n== %s\n' "$name"
  "stage_$name" || { result=FAILED; failed=1; }
  summary+=("$(printf '%-8s %-6s %4d s' "$name" $result $((SECONDS - before)))")
}

before=$SECONDS
mkdir -p build
scripts/setup.sh --dev
PATH=$PATH:$HOME/.cargo/bin
export CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_SLOPPINESS=pch_defines,time_macros  # time_macros is for precompiled headers
summary+=("$(printf '%-8s %-6s %4d s' set-up ok $((SECONDS - before)))")

# Downloads need the network and builds the processors, so both run at once. The tools come first: both jobs use them.
if wants release || wants python || wants peers; then
  scripts/tools_venv.sh >/dev/null
  start models make_models
  ! wants peers || start venvs make_venvs
fi
trap 'for pid in "${started[@]}"; do kill "$pid" 2>/dev/null; done' EXIT

for stage in "${stages[@]}"; do run_stage "$stage"; done

printf '\n== summary (%d s)\n' $SECONDS
printf '%s\n' "${summary[@]}"
exit $failed
