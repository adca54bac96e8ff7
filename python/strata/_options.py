"""Functions that take a job's options: what they are called with becomes words, and help() shows every option."""
import functools
import inspect
import textwrap
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from . import _core
from ._declared import Option, parse

Function = TypeVar("Function", bound=Callable[..., object])
Words = dict[str, list[list[str]]]
VERBS = {"dry_run": "quantize", "evaluate": "eval"}  # of the command line, where a job is named otherwise


@functools.cache
def options_of(job: str) -> Mapping[str, Option]:
    """The options of a job by their Python names, in the order of the command line's help."""
    return parse(_core.declarations(job))


def words_of(job: str, given: Mapping[str, object]) -> Words:
    """The words of the options that are given, by their names on the command line; None stands for not given."""
    known, words = options_of(job), {}
    for key, value in given.items():
        if key not in known:
            close = get_close_matches(key, known, 1)
            raise TypeError(f"{job} has no option {key!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
        if value is not None and (said := known[key].words(value)):
            words[known[key].name] = said
    return words


def takes_options(job: str) -> Callable[[Function], Function]:
    """Shows the options of a job in the signature and docstring of a function that takes them as **options, but for those
    that it has parameters for."""

    def shown(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        named = {parameter.name for parameter in own} | {"MODEL", "OUT", "REPOSITORY"}
        options = [option for key, option in options_of(job).items() if key not in named]
        keywords = [inspect.Parameter(option.key, inspect.Parameter.KEYWORD_ONLY, default=option.default,
                                      annotation=option.type()) for option in options]
        setattr(function, "__signature__", signature.replace(parameters=own + keywords))
        head = f"Options, as `strata {VERBS.get(job, job)}` has them:"
        function.__doc__ = f"{inspect.getdoc(function)}\n\n{head}\n{_list(options)}"
        return function

    return shown


def _list(options: list[Option]) -> str:
    lines, heading = [], None
    for option in options:
        if option.heading != heading and option.heading:
            lines += ["", f"{option.heading}:"]
        heading = option.heading
        usual = "" if option.default is None else f" (default: {option.default})"
        text = f"{option.key}: {option.help}{usual}"
        lines.append(textwrap.fill(text, 100, initial_indent="  ", subsequent_indent="      "))
    return "\n".join(lines)
