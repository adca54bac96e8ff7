#!/usr/bin/env bash
# From a fresh clone to a quantized model: sets up, builds, gets SmolLM2-135M-Instruct, quantizes it and shows the cost.
# Everything lands in build/, and a second run uses what is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p build

bits=4.5
original=build/models/smollm2
quantized=build/models/smollm2-$bits
text=../shared/data/text/wiki.test.raw
[ -f "$text" ] || text=scripts/data/alice.txt
prompts=("What is the capital of France?" "Why is the sky blue? Answer in one sentence."
  "Write a short sentence about the sea.")

# stage NAME COMMAND...: prints a heading, runs the command, and prints the time that it took.
stage() {
  local name=$1 before=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  "$@"
  printf -- '-- %s: %d s\n' "$name" $((SECONDS - before))
}

build() {
  cmake --preset release >build/configure.log 2>&1 || { cat build/configure.log; return 1; }
  cmake --build --preset release --target strata
}

get_model() {
  local gguf
  gguf=$(scripts/download_smollm2.sh)
  [ -f $original/config.json ] || $strata convert "$gguf" -o $original
}

evaluate() {
  $strata eval $quantized --ref $original --text "$text" --samples 40 --json >build/quickstart.json
  python3 scripts/quickstart_table.py $original $quantized build/quickstart.json
}

answer_prompts() {
  local prompt model
  for prompt in "${prompts[@]}"; do
    printf '\n> %s\n' "$prompt"
    for model in $original $quantized; do
      [ $model = $original ] && printf '  original   ' || printf '  quantized  '
      $strata generate $model --chat --prompt "$prompt" -n 48 2>/dev/null | tr '\n' ' '
      printf '\n'
    done
  done
}

strata=build/release/strata
stage "1/6 set-up" scripts/setup.sh
PATH=$PATH:$HOME/.cargo/bin
stage "2/6 build" build
stage "3/6 model" get_model
stage "4/6 quantize to $bits bits" $strata quantize $original -o $quantized --bits $bits --overwrite
stage "5/6 evaluate on the first 40 sequences of $text" evaluate
stage "6/6 three prompts" answer_prompts

cat <<END

The quantized model is in $quantized: vLLM and transformers load that folder as it is. Where its bits went and what that cost is
drawn in $quantized.report.html. Try next, with this model or yours:
  $strata quantize $original -o build/models/mine --size 120MiB --dry-run     what a given size would keep and cost
END
