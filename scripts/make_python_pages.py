#!/usr/bin/env python3
"""Writes a page of Markdown for each public thing of the installed package, from its docstring.

    build/venv-python/bin/python scripts/make_python_pages.py FOLDER

README.md in the folder lists them. Nothing is written by hand: what a page lacks, the docstring lacks.
"""
import inspect
import pathlib
import sys

import strata


def code(name: str, thing: object) -> str:
    """How it is called."""
    try:
        signature = str(inspect.signature(thing)) if callable(thing) else ""
    except ValueError:  # of an exception
        signature = "(message)"
    return f"```python\n{name}{signature}\n```\n"


def members(thing: type) -> list[str]:
    parts = []
    for name, value in vars(thing).items():
        if name.startswith("_") or not inspect.getdoc(value):
            continue
        if isinstance(value, property):
            parts.append(f"## .{name}\n{inspect.getdoc(value)}\n")
        elif callable(value) or isinstance(value, classmethod):
            parts.append(f"## .{name}\n{code(name, getattr(thing, name))}{inspect.getdoc(getattr(thing, name))}\n")
    return parts


def page(name: str) -> str:
    thing = getattr(strata, name)
    parts = [f"# strata.{name}\n", code(f"strata.{name}", thing), f"{inspect.getdoc(thing)}\n"]
    return "\n".join(parts + (members(thing) if isinstance(thing, type) else []))


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted((name for name in strata.__all__ if not name.startswith("_")), key=str.lower)
    for name in names:
        (folder / f"{name}.md").write_text(page(name))
    lines = [f"- [{name}]({name}.md): {(inspect.getdoc(getattr(strata, name)) or '').splitlines()[0]}" for name in names]
    (folder / "README.md").write_text(f"# strata {strata.__version__}\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
