#!/usr/bin/env python3
"""Checks that no file or function under src/ or python/src has grown beyond what a reader can hold: headers 150 lines, sources 350,
functions 60.

Functions are found by the formatter's layout: a line that opens a body, and the closing brace at the same indent.
Prints each fault as file:line and exits with 1 if there is one.
"""
import pathlib
import re
import sys

HEADER, SOURCE, FUNCTION = 150, 350, 60
OPENS = re.compile(r"^( *)(?!(?:if|for|while|switch|else|do|catch|try|namespace|class|struct|enum|return|extern)\b)\S.*\{$|"
                   r"^( *)(?:\}|\)).*\) .*\{$")
NOT_FUNCTIONS = re.compile(r"= \{$|^\s*\[|\bnamespace\b|^\s*(?:class|struct|enum|union)\b|\[[^\]]*\]\s*\{$|\{\{$|^\s*(?:inline )?constexpr [^()]*\{$")
# Headers that hold code, which several sources compile for one instruction set each.
BODIES = re.compile(r"_inl\.h$|^(?:lanes|vector|simd)_")


def head_of(lines: list[str], number: int) -> int:
    """The first line of the declaration that line `number` ends: parameters and initializers may take several."""
    while number > 0 and (lines[number].lstrip().startswith(":") or lines[number - 1].rstrip().endswith((",", "("))):
        number -= 1
    return number


def functions(lines: list[str]) -> list[tuple[int, int]]:
    """First line and length of every function body, lambdas and control statements left out."""
    found = []
    for number, line in enumerate(lines):
        match = OPENS.match(line)
        if not match or NOT_FUNCTIONS.search(line) or ")" not in line:
            continue
        head = lines[head_of(lines, number)]
        indent = " " * (len(head) - len(head.lstrip()))
        end = next((i for i in range(number + 1, len(lines)) if lines[i].startswith(indent + "}")), None)
        if end is not None:
            found.append((number + 1, end - number + 1))
    return found


def main() -> None:
    source = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "src")
    found = [*sorted(source.rglob("*")), *sorted((source.parent / "python/src").glob("*"))]
    files = [f for f in found if f.suffix in (".h", ".cpp")]
    faults, longest, bodies = 0, 0, 0
    for file in files:
        lines = file.read_text().splitlines()
        header = file.suffix == ".h" and not BODIES.search(file.name)
        most = HEADER if header else SOURCE
        if len(lines) > most:
            print(f"{file}: {len(lines)} lines, at most {most} for a {'header' if header else 'source'}")
            faults += 1
        for first, length in functions(lines):
            bodies += 1
            longest = max(longest, length)
            if length > FUNCTION:
                print(f"{file}:{first}: a function of {length} lines, at most {FUNCTION}")
                faults += 1
    print(f"sizes: {len(files)} files, {bodies} functions, the longest has {longest} lines; {faults} too long")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
