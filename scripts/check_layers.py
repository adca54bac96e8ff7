#!/usr/bin/env python3
"""Checks that every file under src/ includes only its own layer and lower ones, and its own room and earlier ones.

The sources of the Python module, python/src, are a layer beside the command line. docs/code.md has both orders. A layer of the same level is not lower, and a room of the same step is not earlier.
Prints each forbidden #include as file:line and exits with 1 if there is one.
"""
import pathlib
import re
import sys

LEVELS = [["core"], ["codec", "allocate"], ["format", "kernel", "hub"], ["model", "quantize"], ["engine"], ["importance", "eval"],
          ["pipeline"], ["cli", "python"]]
# The rooms of each layer whose files all stand in rooms. Other layers keep their machinery beside their rooms.
ROOMS = {"pipeline": [["plan"], ["output"], ["choose", "round"], ["measure"], ["report"], ["job"]]}
OUTSIDE = {"strata_tokenizer.h": "model"}  # header of the Rust crate -> the only layer that may include it
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def ranks(order: list[list[str]]) -> dict[str, int]:
    return {name: rank for rank, names in enumerate(order) for name in names}


LEVEL = ranks(LEVELS)
STEP = {layer: ranks(order) for layer, order in ROOMS.items()}


def fault(layer: str, room: str, included: str) -> str | None:
    """Returns what is wrong with `included` in a file of `room` in `layer`, or None."""
    if included in OUTSIDE:
        return None if layer == OUTSIDE[included] else f"only {OUTSIDE[included]} may include it"
    parts = included.split("/")
    folder = parts[0]
    if layer == "python" and len(parts) == 1:
        return None
    if len(parts) < 2 or folder not in LEVEL or ".." in parts:
        return "write it as \"layer/file.h\", with a layer of docs/code.md"
    if folder != layer and LEVEL[folder] >= LEVEL[layer]:
        return f"{layer} (level {LEVEL[layer]}) must not know {folder} (level {LEVEL[folder]})"
    if folder == layer and layer in STEP:
        step = STEP[layer]
        if parts[1] != room and step.get(parts[1], len(step)) >= step[room]:
            return f"the room {room} must not know the room {parts[1]}: docs/code.md has the order of rooms"
    return None


def place(file: pathlib.Path, source: pathlib.Path) -> tuple[str, str, str | None]:
    """Returns the layer and room of a file, and what is wrong with its place, or None."""
    parts = file.relative_to(source).parts
    layer, room = parts[0], parts[1] if len(parts) > 2 else ""
    if layer not in LEVEL:
        return layer, room, f"the folder {layer} is no layer of docs/code.md"
    if layer in STEP and room not in STEP[layer]:
        return layer, room, f"files of {layer} stand in one of its rooms: {', '.join(STEP[layer])}"
    return layer, room, None


def main() -> None:
    source = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "src")
    files = [f for f in sorted(source.rglob("*")) if f.suffix in (".h", ".cpp", ".inc")]
    module = sorted((source.parent / "python/src").glob("*"))
    faults = 0
    for file in files + module:
        layer, room, wrong = ("python", "", None) if file in module else place(file, source)
        if wrong:
            print(f"{file}: {wrong}")
            faults += 1
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if match and (what := fault(layer, room, match[1])):
                print(f'{file}:{number}: "{match[1]}": {what}')
                faults += 1
    print(f"layers: {len(files + module)} files, {faults} forbidden includes")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
