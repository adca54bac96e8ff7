#!/usr/bin/env python3
"""Writes the types of the options of every job, for mypy and editors: make_option_types.py OUT.pyi

The build runs it with the module it has just made, so that the types follow from the same declarations as the command line.
"""
import pathlib
import sys
import textwrap

sys.path.insert(0, str(pathlib.Path(__file__).parent / "strata"))
import _core  # noqa: E402  (found through PYTHONPATH)
import _declared  # noqa: E402

# Class, job, the options that the functions of python/strata take by other names.
JOBS = [("ScoreOptions", "score", {"MODEL", "output"}),
        ("PlanOptions", "plan", {"MODEL", "output", "scores"}),
        ("QuantizeOptions", "quantize", {"MODEL", "output", "plan", "scores"}),
        ("EvaluateOptions", "evaluate", {"MODEL", "ref", "text", "output"}),
        ("PullOptions", "pull", {"REPOSITORY"}),
        ("PushOptions", "push", {"OUT", "REPOSITORY"})]


def typed(name: str, job: str, held: set[str]) -> str:
    lines = [f"class {name}(TypedDict, total=False):"]
    for key, option in _declared.parse(_core.declarations(job)).items():
        if key in held:
            continue
        help_text = textwrap.fill(option.help, 115).replace("\\", "\\\\")
        lines += [f"    {key}: {option.type()} | None", textwrap.indent(f'"""{help_text}"""', "    ")]
    return "\n".join(lines)


def main() -> None:
    head = ["# Made from the declarations of the options.", "import os", "from collections.abc import Mapping, Sequence",
            "from typing import Literal, TypedDict", "", "Text = str | os.PathLike[str]", ""]
    classes = [typed(*job) for job in JOBS]
    pathlib.Path(sys.argv[1]).write_text("\n".join(head) + "\n" + "\n\n\n".join(classes) + "\n")


if __name__ == "__main__":
    main()
