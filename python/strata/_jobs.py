"""Runs a job of the C++ side: values become words, the GIL is released, Ctrl-C stops it where it can be resumed."""
import contextlib
import json
import os
import pathlib
import re
import shlex
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from . import _core
from ._options import VERBS, Words, options_of, words_of
from ._progress import Callback, listener_of

Path = str | os.PathLike[str]
FILES_OF_VALUES = "strata-value-"  # begins the names of temporary folders


class Saved(Protocol):
    """Something that can be written to a file, such as scores."""

    def save(self, path: Path) -> None: ...


def command_of(job: str, words: Words) -> str:
    """What a person would type for the same job, after saving the values that it was given."""
    line = ["strata", VERBS.get(job, job)]
    for option in options_of(job).values():
        for group in words.get(option.name, []):
            if option.kind == "flag":
                line.append(option.name if group == ["true"] else f"--no-{option.name[2:]}")
            else:
                line += ([option.name] if option.name.startswith("-") else []) + group
    return re.sub(rf"\S*/{FILES_OF_VALUES}[^/]*/", "", shlex.join(line))


def in_main_thread() -> bool:
    """Ctrl-C is the main thread's: only what runs there is stopped by it."""
    return threading.current_thread() is threading.main_thread()


def run(job: str, given: Mapping[str, object], progress: bool | Callback | None) -> dict[str, Any]:
    """What came of the job. Raises strata.Error with the command line's sentence, and KeyboardInterrupt after Ctrl-C."""
    words = words_of(job, given)
    os.environ.setdefault("STRATA_PYTHON", sys.executable)  # which Python runs what jobs ask of Python packages
    told = _core.run(job, words, listener_of(progress), command_of(job, words), in_main_thread())
    result: dict[str, Any] = json.loads(told)
    return result


@contextlib.contextmanager
def file_of(value: "Path | Saved | None", name: str) -> Iterator[Path | None]:
    """A file with the value while the block runs, or the file that it names."""
    if value is None or isinstance(value, (str, os.PathLike)):
        yield value
        return
    with tempfile.TemporaryDirectory(prefix=FILES_OF_VALUES) as folder:
        path = pathlib.Path(folder, name)
        value.save(path)
        yield path


def path_of(model: object) -> Path:
    """The path of a model, of a result, or the path itself."""
    path: Path = model if isinstance(model, (str, os.PathLike)) else getattr(model, "path")
    return path
