"""Options as the C++ side declares them: their Python names, their types, and the words that a value becomes.

Nothing is said twice: names, defaults, help and ranges are those of the command line. The build runs this file by itself
(make_option_types.py), so it needs nothing but the standard library.
"""
import dataclasses
import json
import numbers
import os
from collections.abc import Iterable, Mapping
from typing import TypeGuard

RENAMED = {"for": "target"}  # a word of Python -> what is said in its place


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a job."""

    name: str  # on the command line: "--act-order", "MODEL"
    key: str  # in Python: "act_order"
    heading: str
    help: str
    kind: str  # flag, one, many, groups
    placeholder: str  # what a word stands for: N, NUMBER, SIZE, TIME, "A,B", REGEX=CODEC ...
    default: object  # None where there is none
    values: tuple[str, ...]  # the only words allowed; none: any

    def type(self) -> str:
        """The Python type of a value, as source text."""
        if self.kind == "flag":
            return "bool"
        if self.kind == "groups":
            return "Text | Sequence[Text] | Sequence[Sequence[Text]]"
        if self.kind == "many":
            return "Mapping[str, str] | Sequence[str] | str" if "=" in self.placeholder else "Text | Sequence[Text]"
        if self.values:
            return f"Literal[{', '.join(repr(value) for value in self.values)}]"
        plain = {"N": "int", "NUMBER": "float", "SIZE": "int | str", "TIME": "float | str", "A,B": "str | Sequence[str]"}
        return plain.get(self.placeholder, "Text")

    def words(self, value: object) -> list[list[str]]:
        """The words of a value, a list for each time that the command line would give the option."""
        if self.kind == "flag":
            if not isinstance(value, bool):
                raise TypeError(f"{self.key}: expected True or False, found {value!r}")
            return [["true" if value else "false"]]
        if self.kind == "one":
            return [[",".join(map(_word, value)) if _is_list(value) else _word(value)]]
        if isinstance(value, Mapping):
            return [[f"{_word(left)}={_word(right)}" for left, right in value.items()]]
        items = list(value) if _is_list(value) else [value]
        if self.kind == "groups" and any(map(_is_list, items)):
            return [[_word(word) for word in item] if _is_list(item) else [_word(item)] for item in items]
        return [[_word(item) for item in items]] if items else []


def _is_list(value: object) -> TypeGuard[Iterable[object]]:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, os.PathLike))


def _word(value: object) -> str:
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return repr(float(value))
    if isinstance(value, (str, os.PathLike)):
        return str(os.fspath(value))
    raise TypeError(f"expected a text, a path or a number, found {value!r}")


def parse(listed: str) -> dict[str, Option]:
    """The options of a job by their Python names, from the JSON that the C++ side lists them in."""
    options = {}
    for item in json.loads(listed):
        key = RENAMED.get(item["key"], item["key"])
        options[key] = Option(**{**item, "key": key, "values": tuple(item["values"])})
    return options
