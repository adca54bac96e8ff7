#!/usr/bin/env python3
"""Checks that every file under src/ includes only its own layer and lower ones (docs/design.md, "The layers").

A sibling of the same level is not lower. Prints each forbidden #include as file:line and exits with 1 if there is one.
"""
import pathlib
import re
import sys

LEVELS = [["core"], ["codec", "allocate"], ["format", "kernel"], ["model", "quantize"], ["engine"], ["importance", "eval"],
          ["pipeline"], ["cli", "python"]]
LEVEL = {layer: level for level, layers in enumerate(LEVELS) for layer in layers}
OUTSIDE = {"strata_tokenizer.h": "model"}  # header of the Rust crate -> the only layer that may include it
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def fault(layer: str, included: str) -> str | None:
    """What is wrong with `included` in a file of `layer`; None when nothing is."""
    if included in OUTSIDE:
        return None if layer == OUTSIDE[included] else f"only {OUTSIDE[included]} may include it"
    folder, slash, _ = included.partition("/")
    if not slash or folder not in LEVEL or ".." in included.split("/"):
        return "write it as \"layer/file.h\", with a layer of docs/design.md"
    if folder != layer and LEVEL[folder] >= LEVEL[layer]:
        return f"{layer} (level {LEVEL[layer]}) must not know {folder} (level {LEVEL[folder]})"
    return None


def main() -> None:
    source = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "src")
    files = [f for f in sorted(source.rglob("*")) if f.suffix in (".h", ".cpp", ".inc")]
    faults = 0
    for file in files:
        layer = file.relative_to(source).parts[0]
        if layer not in LEVEL:
            print(f"{file}: the folder {layer} is no layer of docs/design.md")
            faults += 1
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if match and (what := fault(layer, match[1])):
                print(f'{file}:{number}: "{match[1]}": {what}')
                faults += 1
    print(f"layers: {len(files)} files, {faults} forbidden includes")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
