"""The jobs by way of Python: the results, files and sentences of the command line, and how they are stopped and resumed."""
import json
import logging
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

import strata
from strata._progress import Callback

PROGRAM = pathlib.Path(sys.executable).parent / "strata"


def program(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True)


def weights(folder: pathlib.Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_scores_hold_what_the_command_line_finds(model: strata.Model, text: pathlib.Path, tmp_path: pathlib.Path) -> None:
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    scores = model.score(output=ours, calib=text, samples=4, seq_len=24, signals=["lim", "act_mse"], codecs="int4_g32",
                         target="transformers")
    told = program("score", model.path, "-o", theirs, "--calib", text, "--samples", 4, "--seq-len", 24, "--signals",
                   "lim,act_mse", "--codecs", "int4_g32", "--for", "transformers")
    assert told.returncode == 0, told.stderr
    assert ours.read_text() == theirs.read_text()
    assert scores.data == json.loads(theirs.read_text())
    assert list(scores.blocks) == ["lim"] and scores.blocks["lim"].shape == (model.blocks,)
    assert {record["codec"] for record in scores.linears} == {"int4_g32"}
    assert len(scores.linears) == len(model.linears)


def test_the_whole_way(model: strata.Model, scores: strata.Scores, text: pathlib.Path, tmp_path: pathlib.Path) -> None:
    plan = model.plan(bits=9, target="transformers", scores=scores, explain=True)
    assert plan.bits <= 9 and plan.target == "transformers" and plan.preset == "best"
    assert sum(group["bytes"] for group in plan.groups) == plan.bytes
    assert {"name", "codec", "linears", "bytes", "weights", "bits", "cost", "pinned", "better", "worse"} <= set(plan.groups[0])
    assert "9" in repr(plan) or "8." in repr(plan)
    out = tmp_path / "out"
    result = model.quantize(out, plan=plan, method="gptq", target="transformers", calib=text, samples=4, seq_len=24)
    assert result.path == out and result.bytes == plan.output_bytes == sum(f.stat().st_size for f in out.iterdir())
    assert result.plan.groups[0]["codec"] == plan.groups[0]["codec"]
    report = json.loads((tmp_path / "out.report.json").read_text())
    assert report["plan"]["command"].startswith(f"strata quantize {model.path} --output {out}")
    assert "--plan plan.json --calib" in report["plan"]["command"]
    assert {"module", "codec", "relative_error"} <= set(result.linears[0])
    assert result.verification is not None and result.verification.kl_divergence is not None
    measured = strata.evaluate(result, ref=model, text=text, seq_len=24, samples=4)
    assert measured.kl_divergence is not None and 0 < measured.kl_divergence.mean < 1
    assert measured.top1_agreement is not None and 0 < measured.top1_agreement <= 1
    assert strata.open(out).linears[0]["codec"] == plan.groups[0]["codec"]
    both = strata.evaluate([out, model], ref=model, text=text, seq_len=24, samples=4)
    assert [one.perplexity for one in both] == [measured.perplexity, measured.ref_perplexity]


def test_python_writes_the_bytes_of_the_command_line(model: strata.Model, text: pathlib.Path, tmp_path: pathlib.Path) -> None:
    model.quantize(tmp_path / "ours", preset="uniform:int4_g32", target="transformers", calib=text, samples=4, seq_len=24,
                   assign={"down_proj": "int8_channel"}, verify=False, report=False)
    told = program("quantize", model.path, "-o", tmp_path / "theirs", "--preset", "uniform:int4_g32", "--for", "transformers",
                   "--calib", text, "--samples", 4, "--seq-len", 24, "--assign", "down_proj=int8_channel", "--no-verify",
                   "--no-report")
    assert told.returncode == 0, told.stderr
    assert weights(tmp_path / "ours") == weights(tmp_path / "theirs")


def test_plans_and_scores_are_taken_from_files_too(model: strata.Model, scores: strata.Scores, tmp_path: pathlib.Path) -> None:
    scores.save(tmp_path / "scores.json")
    plan = model.plan(bits=9, target="transformers", scores=tmp_path / "scores.json", output=tmp_path / "plan.json")
    again = strata.Plan.load(tmp_path / "plan.json")
    assert again.groups == plan.groups and again.output_bytes is None
    again.save(tmp_path / "copy.json")
    assert json.loads((tmp_path / "copy.json").read_text()) == plan.data
    assert strata.Scores.load(tmp_path / "scores.json").data == scores.data
    forecast = model.dry_run(tmp_path / "out", plan=tmp_path / "copy.json", target="transformers")
    assert forecast.plan.output_bytes == plan.output_bytes and forecast.disk_bytes >= plan.bytes
    assert forecast.seconds >= 0 and forecast.memory_bytes > 0 and not (tmp_path / "out").exists()


def test_sentences_are_those_of_the_command_line(model: strata.Model, tmp_path: pathlib.Path) -> None:
    calls = [({}, []), ({"bits": 4.5}, ["--bits", "4.5"]), ({"bits": "many"}, ["--bits", "many"]),
             ({"bits": 0.5, "preset": "prior"}, ["--bits", "0.5", "--preset", "prior"]), ({"target": "x"}, ["--for", "x"])]
    for options, words in calls:
        with pytest.raises(strata.Error) as raised:
            model.plan(**options)  # type: ignore[arg-type]
        told = program("plan", model.path, *words)
        assert told.stderr.splitlines()[0] == f"strata: {raised.value}"
        assert isinstance(raised.value, strata.UsageError) == (told.returncode == 2)


class Stop(Exception):
    pass


def test_progress_comes_to_a_callback(model: strata.Model, text: pathlib.Path) -> None:
    told: list[strata.Progress] = []
    model.score(calib=text, samples=4, seq_len=24, signals="lim", progress=told.append)
    assert told[0].done == 0 and told[0].total > 0 and not told[0].ended
    assert "calibrate" in {one.stage for one in told}
    assert told[-1].ended
    assert [one.stage for one in told if one.ended] == list(dict.fromkeys(one.stage for one in told))


def quantize(model: strata.Model, text: pathlib.Path, out: pathlib.Path, progress: "Callback | bool") -> None:
    model.quantize(out, bits=9, target="transformers", calib=text, samples=4, seq_len=24, report=False, progress=progress)


def test_what_a_callback_raises_stops_the_job_which_then_resumes(model: strata.Model, text: pathlib.Path, tmp_path: pathlib.Path,
                                                                 caplog: pytest.LogCaptureFixture) -> None:
    quantize(model, text, tmp_path / "whole", False)

    def stop(progress: strata.Progress) -> None:
        if progress.stage == "eval":
            raise Stop

    with pytest.raises(Stop):
        quantize(model, text, tmp_path / "out", stop)
    with caplog.at_level(logging.INFO, "strata"):
        quantize(model, text, tmp_path / "out", False)
    assert "resuming the work in" in caplog.text
    assert weights(tmp_path / "out") == weights(tmp_path / "whole")


def test_ctrl_c_stops_the_job_which_then_resumes(model: strata.Model, text: pathlib.Path, tmp_path: pathlib.Path,
                                                 caplog: pytest.LogCaptureFixture) -> None:
    handler = signal.getsignal(signal.SIGINT)

    def press(progress: strata.Progress) -> None:
        if progress.stage == "eval":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), caplog.at_level(logging.INFO, "strata"):
        quantize(model, text, tmp_path / "out", press)
    assert "the same command resumes there" in caplog.text
    assert signal.getsignal(signal.SIGINT) is handler
    with pytest.raises(KeyboardInterrupt):  # Python's own handler is back
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)  # until the signal, which another thread may be given, has reached this one
    quantize(model, text, tmp_path / "out", False)
    quantize(model, text, tmp_path / "whole", False)
    assert weights(tmp_path / "out") == weights(tmp_path / "whole")


def test_warnings_reach_the_logger(model: strata.Model, text: pathlib.Path, tmp_path: pathlib.Path,
                                   caplog: pytest.LogCaptureFixture) -> None:
    model.quantize(tmp_path / "out", preset="uniform:int8_channel", calib=text, samples=2, seq_len=24, verify=False, report=False)
    strata.evaluate(model, ref=tmp_path / "out", text=text, seq_len=24, samples=2)
    assert [record.levelname for record in caplog.records if "is quantized itself" in record.message] == ["WARNING"]


def test_a_gguf_file_is_written_and_opened(model: strata.Model, path: pathlib.Path, text: pathlib.Path,
                                           tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(path, folder)
    result = strata.open(folder).quantize(tmp_path / "model.gguf", preset="uniform:q8_0", calib=text, samples=2, seq_len=24,
                                          verify=False)
    assert result.path == tmp_path / "model.gguf"
    assert strata.open(result.path).blocks == model.blocks
