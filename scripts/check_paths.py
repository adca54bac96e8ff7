#!/usr/bin/env python3
"""Checks that every file which a page, a script or a comment of this repository names is there.

A path that begins with one of the repository's folders must exist as it stands. On a page, a path in backticks that
begins with a layer must exist under src/, a bare file name in backticks must be the name of a file, and a link must lead
somewhere. Names with capitals or wildcards (src/codec/NAME.cpp) are patterns for a reader and are passed over, and so is
build/, which scripts make. Prints each fault as file:line and exits with 1 if there is one.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENDINGS = r"(?:h|cpp|py|sh|md|rs|js|json|cmake|txt|svg|png|toml)"
PATH = re.compile(r"(?<![\w./-])((?:src|tests|docs|scripts|bench|web|tokenizer|cmake|python)/[\w./-]*\." + ENDINGS + r")\b")
BARE = re.compile(r"`([\w-]+\.(?:h|cpp|py|sh|rs|cmake))`")
FOREIGN = ("src/llama-", "tests/testdata/", "llama.cpp")  # files of llama.cpp and of the collection that alice.txt is from
WITHIN = re.compile(r"`((?:core|codec|allocate|format|kernel|model|quantize|engine|importance|eval|pipeline|cli)/[\w/.-]+\.(?:h|cpp))`")
LINK = re.compile(r"\]\(([^)#:\s]+)\)")


def faults(name: str, text: str, known: set[str], bases: set[str]) -> list[tuple[int, str]]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for path in PATH.findall(line):
            if path not in known and not path.startswith(FOREIGN) and path.upper() != path and not re.search(r"[/_][A-Z]+[._]", path):
                found.append((number, f"{path} does not exist"))
        if not name.endswith(".md"):
            continue
        for path in WITHIN.findall(line):
            if f"src/{path}" not in known:
                found.append((number, f"src/{path} does not exist"))
        for base in BARE.findall(line):
            if base not in bases and base not in FOREIGN and not base.split(".")[0].isupper():
                found.append((number, f"no file is named {base}"))
        for link in LINK.findall(line):
            if not (ROOT / name).parent.joinpath(link).exists():
                found.append((number, f"the link {link} leads nowhere"))
    return found


def main() -> None:
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.split("\n")
    known = {name for name in listed if name and (ROOT / name).exists()}
    bases = {pathlib.Path(name).name for name in known}
    count, wrong = 0, 0
    for name in sorted(known):
        if not re.search(r"\.(md|h|cpp|py|sh|txt|cmake|js|rs)$", name):
            continue
        count += 1
        for number, what in faults(name, (ROOT / name).read_text(errors="replace"), known, bases):
            print(f"{name}:{number}: {what}")
            wrong += 1
    print(f"paths: {count} files, {wrong} that name what is not there")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
