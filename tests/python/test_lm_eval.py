"""lm-evaluation-harness on strata: every answer is that of the harness's own model type `hf`, in float32.

The model and the items are not part of the repository: STRATA_MODELS (default build/models) and STRATA_SHARED (default the
folder shared beside the checkout) say where they are; without them the comparison is skipped.
"""
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

from conftest import ROOT
from local_tasks import answers, write_tasks

if importlib.util.find_spec("lm_eval") is None:
    pytest.skip("lm_eval is not installed", allow_module_level=True)

DATA = pathlib.Path(os.environ.get("STRATA_SHARED", ROOT.parent / "shared")) / "data/tasks"
MODEL = pathlib.Path(os.environ.get("STRATA_MODELS", ROOT / "build/models")) / "smollm2"
PARITY = 1e-3  # nats, of a sum over the tokens of an answer


@pytest.mark.skipif(not (DATA.exists() and MODEL.exists()), reason=f"{DATA} or {MODEL} is missing")
def test_answers_are_those_of_transformers(tmp_path: pathlib.Path) -> None:
    from strata.lm_eval import StrataLM

    golden = json.loads((ROOT / "tests/golden/smollm2_tasks.json").read_text())
    write_tasks(tmp_path, DATA)
    found = answers(StrataLM(str(MODEL)), tmp_path)
    compared = 0
    for name, items in golden.items():
        assert len(found[name]) == len(items)
        for ours, theirs in zip(found[name], items):
            assert len(ours) == len(theirs)
            for one, other in zip(ours, theirs):
                compared += 1
                if isinstance(other, str):
                    assert one == other
                else:
                    assert abs(one[0] - other[0]) < PARITY and one[1] == other[1], (name, one, other)
            if not isinstance(theirs[0], str):
                assert max(ours)[0] - max(theirs)[0] < PARITY
    assert compared > 150


def items(folder: pathlib.Path) -> pathlib.Path:
    """Made-up items in the forms of the tasks' data."""
    (folder / "gsm8k").mkdir(parents=True)
    (folder / "arc_easy.jsonl").write_text('{"query": "Question: 1 + 1?", "choices": ["2", "3"], "gold": 0}\n' * 4)
    (folder / "hellaswag_val_sample1000.jsonl").write_text('{"ctx": "A cat", "endings": ["sat.", "ran."], "label": 1}\n' * 4)
    (folder / "gsm8k/test.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n' * 4)
    return folder


def test_the_command_runs_tasks(random_path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    write_tasks(tasks, items(tmp_path / "data"))
    command = [sys.executable, "-m", "strata.lm_eval", "run", "--model", "strata", "--model_args", f"pretrained={random_path}",
               "--tasks", "local_arc_easy,local_gsm8k", "--include_path", str(tasks), "--limit", "2", "--log_samples", "--output_path",
               str(tmp_path / "out")]
    told = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert told.returncode == 0, told.stderr[-2000:]
    assert "local_arc_easy" in told.stdout
    result = json.loads(next((tmp_path / "out").rglob("results_*.json")).read_text())
    assert result["config"]["model"] == "strata" and 0 <= result["results"]["local_arc_easy"]["acc,none"] <= 1


def test_long_texts_are_read_in_windows(random_path: pathlib.Path) -> None:
    from lm_eval.api.instance import Instance

    from strata.lm_eval import StrataLM

    text = "the cat sat on the mat and looked at the sea"
    whole, cut = StrataLM(str(random_path)), StrataLM(str(random_path), max_length=16)
    ids = whole.tok_encode(text)
    request = [Instance("loglikelihood_rolling", {}, (text,), 0)]
    expected = whole.model.log_likelihoods([whole.prefix_token_id], [ids])[0][0]
    assert whole.loglikelihood_rolling(request, disable_tqdm=True) == [pytest.approx(expected, abs=1e-4)]
    first, second = ids[:16], ids[16:32]
    parts = [whole.model.log_likelihoods([whole.prefix_token_id], [first])[0][0],
             whole.model.log_likelihoods(ids[15:16], [second])[0][0],
             whole.model.log_likelihoods(ids[len(ids) - 17 : 32], [ids[32:]])[0][0]]
    assert cut.loglikelihood_rolling(request, disable_tqdm=True) == [pytest.approx(sum(parts), abs=1e-3)]


def test_what_does_not_fit_is_refused_or_cut_from_the_left(random_path: pathlib.Path) -> None:
    from lm_eval.api.instance import Instance

    from strata.lm_eval import StrataLM

    short = StrataLM(str(random_path), max_length=8)
    asked = [Instance("loglikelihood", {}, ("a question that is too long", " yes"), 0)]
    answer = short.loglikelihood(asked, disable_tqdm=True)[0]
    context, continuation = short._encode_pair("a question that is too long", " yes")
    assert answer == short.model.log_likelihoods(context[-(9 - len(continuation)) :], [continuation])[0]
    with pytest.raises(ValueError, match="longer than max_length 8"):
        short.loglikelihood([Instance("loglikelihood", {}, ("why", " because of everything"), 0)], disable_tqdm=True)
    with pytest.raises(ValueError, match="leaves no room"):
        short.generate_until([Instance("generate_until", {}, ("why", {"until": [], "max_gen_toks": 8}), 0)], disable_tqdm=True)


def test_eval_compares_models_item_by_item(random_path: pathlib.Path, path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    import strata

    tasks = tmp_path / "tasks"
    tasks.mkdir()
    write_tasks(tasks, items(tmp_path / "data"))
    out = tmp_path / "out"
    strata.open(random_path).quantize(out, preset="uniform:int4_g32", target="transformers", verify=False)
    saved = tmp_path / "eval.json"
    asked = f"{tasks / 'local_arc_easy.yaml'},{tasks / 'local_hellaswag.yaml'}"
    strata_program = pathlib.Path(sys.executable).parent / "strata"
    told = subprocess.run([strata_program, "eval", out, "--ref", random_path, "--tasks", asked, "--limit", "3", "-o", saved],
                          capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert told.returncode == 0, told.stderr[-2000:]
    assert "difference" in told.stdout and "local_arc_easy" in told.stdout
    rows = json.loads(saved.read_text())["tasks"]
    assert {(row["task"], row["metric"]) for row in rows} == {(task, metric) for task in ("local_arc_easy", "local_hellaswag")
                                                              for metric in ("acc", "acc_norm")}
    for row in rows:
        assert row["items"] == 3 and row["higher_is_better"] is True
        assert row["change"]["mean"] == pytest.approx(row["value"]["mean"] - row["ref"]["mean"])
    told = subprocess.run([strata_program, "report", out, "--eval", saved, "--json"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr[-2000:]
    assert json.loads(told.stdout)["evaluations"][-1]["tasks"] == rows
    same = strata.evaluate(random_path, ref=random_path, tasks=[str(tasks / "local_arc_easy.yaml")], limit=2)
    assert [row["change"]["mean"] for row in same.tasks] == [0.0, 0.0] and same.kl_divergence is None


def test_eval_names_a_task_that_is_not_there(random_path: pathlib.Path, tmp_path: pathlib.Path,
                                             capfd: pytest.CaptureFixture[str]) -> None:
    import strata

    with pytest.raises(strata.Error, match="lm-evaluation-harness ended with code 1"):
        strata.evaluate(random_path, tasks=["there_is_no_such_task"])
    assert "has no task there_is_no_such_task" in capfd.readouterr().err
    with pytest.raises(strata.Error, match="ended with code 1"):
        strata.evaluate(random_path, tasks=[str(tmp_path / "missing.yaml")])
    with pytest.raises(strata.UsageError, match="--text FILE, --tasks NAMES"):
        strata.evaluate(random_path)
