#!/usr/bin/env bash
# From a fresh clone to a quantized model: sets up, builds, gets SmolLM2-135M-Instruct, quantizes it and shows the cost.
# About five minutes the first time, one after that; everything lands in build/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bits=4.5
original=build/models/smollm2
quantized=build/models/smollm2-$bits
text=../shared/data/text/wiki.test.raw
[ -f "$text" ] || text=scripts/data/alice.txt
prompts=("What is the capital of France?" "Why is the sky blue? Answer in one sentence."
  "Write a short sentence about the sea.")

say() { printf '\n== %s\n' "$*"; }

say "1/6 set-up"
scripts/setup.sh
PATH=$PATH:$HOME/.cargo/bin

say "2/6 build"
cmake --preset release >build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
cmake --build --preset release --target strata
strata=build/release/strata

say "3/6 model"
gguf=$(scripts/download_smollm2.sh)
[ -f $original/config.json ] || $strata convert "$gguf" -o $original

say "4/6 quantize to $bits bits"
$strata quantize $original -o $quantized --bits $bits --overwrite

say "5/6 evaluate on the first 40 chunks of $text"
$strata eval $quantized --ref $original --text "$text" --chunks 40 --json >build/quickstart.json
python3 scripts/quickstart_table.py $original $quantized build/quickstart.json

say "6/6 three prompts"
for prompt in "${prompts[@]}"; do
  printf '\n> %s\n' "$prompt"
  for model in $original $quantized; do
    [ $model = $original ] && printf '  original   ' || printf '  quantized  '
    $strata generate $model --chat --prompt "$prompt" -n 48 2>/dev/null | tr '\n' ' '
    printf '\n'
  done
done

cat <<EOF

The quantized model is in $quantized: vLLM and transformers load that folder as it is. Where its bits went and what that cost is
drawn in $quantized.report.html. Try next, with this model or yours:
  $strata quantize $original -o build/models/mine --size 120MiB --dry-run     what a given size would keep and cost
EOF
