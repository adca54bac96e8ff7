"""What a notebook shows of plans and results, and progress as bars."""
import html
import io
import json
import pathlib
import re

import pytest
from tqdm.std import tqdm

import strata
from strata._progress import Bars, Listener, listener_of


def data_in(shown: str) -> dict[str, object]:
    match = re.search(r'srcdoc="([^"]*)"', shown)
    assert match, shown[:200]
    page = html.unescape(match[1])
    part = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert part
    data: dict[str, object] = json.loads(part[1])
    return data


def test_a_plan_shows_its_report(model: strata.Model, scores: strata.Scores) -> None:
    plan = model.plan(bits=9, target="transformers", scores=scores)
    data = data_in(plan._repr_html_())
    assert isinstance(data["plan"], dict) and data["plan"]["target"] == "transformers"
    assert "signals" in data and "pareto" in data


def test_a_plan_without_its_model_shows_a_table(model: strata.Model, tmp_path: pathlib.Path) -> None:
    model.plan(bits=9, preset="prior", target="transformers", output=tmp_path / "plan.json")
    shown = strata.Plan.load(tmp_path / "plan.json")._repr_html_()
    assert shown.startswith("<table>") and "model.layers.0.self_attn.qkv_proj" in shown


def test_a_result_shows_its_report(model: strata.Model, text: pathlib.Path, tmp_path: pathlib.Path) -> None:
    options = {"preset": "uniform:int8_channel", "calib": text, "samples": 4, "seq_len": 24}
    result = model.quantize(tmp_path / "out", **options)  # type: ignore[arg-type]
    assert result.report == tmp_path / "out.report.html"
    assert "output" in data_in(result._repr_html_())
    plain = model.quantize(tmp_path / "plain", report=False, verify=False, **options)  # type: ignore[arg-type]
    assert plain.report is None and plain._repr_html_().startswith("<table>")


def test_bars_follow_the_stages() -> None:
    written = io.StringIO()
    bars = Bars(lambda **options: tqdm(file=written, **{**options, "delay": 0, "mininterval": 0}))
    bars.on_progress("calibrate", 0, 10)
    bars.on_progress("calibrate", 5, 10)
    bars.on_end("calibrate")
    assert "calibrate:  50%" in written.getvalue()


def test_bars_are_for_terminals_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(listener_of(False)) is Listener
    assert type(listener_of(None)) is Listener  # the tests' standard error is no terminal
    assert type(listener_of(True)) is Bars
