"""Options are said once, on the C++ side: Python has their names, defaults, help and types from there."""
import inspect
import pathlib
from collections.abc import Callable

import pytest

import strata
from strata._options import options_of, words_of

FUNCTIONS: dict[str, Callable[..., object]] = {
    "score": strata.Model.score, "plan": strata.Model.plan, "quantize": strata.Model.quantize,
    "dry_run": strata.Model.dry_run, "evaluate": strata.evaluate}


@pytest.mark.parametrize("job", FUNCTIONS)
def test_signature_and_help_show_every_option(job: str) -> None:
    function = FUNCTIONS[job]
    signature = inspect.signature(function)
    own = {"self", "model", "output", "progress"}
    assert set(signature.parameters) - own == set(options_of(job)) - {"MODEL", "output"}
    for key, option in options_of(job).items():
        assert key.isidentifier()
        if key in ("MODEL", "output", "plan", "scores", "text", "ref"):
            continue
        assert signature.parameters[key].default == option.default
        assert f"  {key}: {option.help[:20]}" in (function.__doc__ or "")


def test_defaults_are_the_command_lines() -> None:
    options = options_of("quantize")
    assert options["preset"].default == "best" and options["refine"].default == 1 and options["verify"].default is True
    assert options["bits"].default is None
    assert options["method"].values == ("rtn", "gptq")
    assert "target" in options and "for" not in options


def test_values_become_words() -> None:
    def words(key: str, value: object, job: str = "quantize") -> object:
        return list(words_of(job, {key: value}).values())

    assert words("bits", 4.5) == [[["4.5"]]]
    assert words("samples", 16) == [[["16"]]]
    assert words("bits", None) == []
    assert words("verify", False) == [[["false"]]]
    assert words("size", "90MiB") == [[["90MiB"]]]
    assert words("codecs", ["int4_g64", "keep"]) == [[["int4_g64,keep"]]]
    assert words("keep", "lm_head") == [[["lm_head"]]]
    assert words("keep", []) == []
    assert words("assign", {"down": "int8_channel", "up": "keep"}) == [[["down=int8_channel", "up=keep"]]]
    assert words("calib", "a.txt") == [[["a.txt"]]]
    assert words("calib", ["a.txt", pathlib.Path("b.txt")]) == [[["a.txt", "b.txt"]]]
    assert words("calib", [["a.txt"], ["b.txt", "c.txt"]]) == [[["a.txt"], ["b.txt", "c.txt"]]]
    assert words_of("score", {"target": "llama.cpp"}) == {"--for": [["llama.cpp"]]}


def test_what_is_no_option_or_no_value_is_refused(model: strata.Model) -> None:
    with pytest.raises(TypeError, match="plan has no option 'bit'; did you mean 'bits'"):
        model.plan(bit=4)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="verify: expected True or False"):
        words_of("quantize", {"verify": "no"})
    with pytest.raises(TypeError, match="expected a text, a path or a number"):
        words_of("quantize", {"bits": object()})
    with pytest.raises(strata.UsageError, match="--samples 1.5: expected a whole number"):
        model.score(samples=1.5)  # type: ignore[arg-type]
