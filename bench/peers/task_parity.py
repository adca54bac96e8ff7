#!/usr/bin/env python3
"""How far strata's answers are from those of lm-evaluation-harness's own model type `hf`, on all items of some tasks.

    PYTHONPATH=tests/python build/venv-hf/bin/python tests/golden/make_task_goldens.py MODEL TASKS --whole HF.json
    build/venv-python/bin/python bench/peers/task_parity.py MODEL TASKS HF.json

MODEL: a folder; TASKS: the folder of the items; HF.json: what `hf` answers in float32. Prints a Markdown table: for each task its
items and answers, the largest and the mean difference of an answer's log-likelihood in nats, and how many items are answered
otherwise (another choice, another text, or another word on whether an answer is the greedy one).
"""
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests/python"))
from local_tasks import answers, write_tasks  # noqa: E402
from strata.lm_eval import StrataLM  # noqa: E402


def choice(item: list) -> int:
    likelihoods = [answer[0] for answer in item]
    return likelihoods.index(max(likelihoods))


def row(name: str, ours: list, theirs: list) -> str:
    assert len(ours) == len(theirs), name
    if isinstance(theirs[0][0], str):
        other = sum(one != two for one, two in zip(ours, theirs))
        return f"| {name} | {len(theirs)} | {len(theirs)} | | | {other} |"
    far = [abs(one[0] - two[0]) for mine, his in zip(ours, theirs) for one, two in zip(mine, his)]
    other = sum(choice(mine) != choice(his) or [answer[1] for answer in mine] != [answer[1] for answer in his]
                for mine, his in zip(ours, theirs))
    return f"| {name} | {len(theirs)} | {len(far)} | {max(far):.1e} | {sum(far) / len(far):.1e} | {other} |"


def main() -> None:
    model, data, golden = sys.argv[1:4]
    expected = json.loads(pathlib.Path(golden).read_text())
    with tempfile.TemporaryDirectory() as folder:
        write_tasks(pathlib.Path(folder), pathlib.Path(data))
        found = answers(StrataLM(model), pathlib.Path(folder), expected, whole=True)
    print("| task | items | answers | largest difference | mean difference | answered otherwise |")
    print("|---|---|---|---|---|---|")
    for name, theirs in expected.items():
        print(row(name.removeprefix("local_"), found[name], theirs))


if __name__ == "__main__":
    main()
