"""Tasks of lm-evaluation-harness on several models, item by item beside their original:

    python -m strata.lm_eval.compare OUT... --ref MODEL --tasks arc_easy,my_task.yaml --output FILE

`strata eval --tasks` runs this. The file gets a list for each OUT, with an element for every task, metric and filter (docs/files.md).
"""
import argparse
import json
import math
import pathlib
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from . import StrataLM

Key = tuple[str, str, str]  # task, metric, filter
Values = dict[Key, dict[int, float]]  # of each item, by its number


def split(tasks: Sequence[str]) -> tuple[list[str], list[pathlib.Path]]:
    """The names of tasks, and the folders in which they are looked for: a YAML file stands for the task that it defines."""
    names: list[str] = []
    folders: list[pathlib.Path] = []
    for task in tasks:
        path = pathlib.Path(task)
        if path.suffix not in (".yaml", ".yml"):
            names.append(task)
            continue
        names.append(name_in(path))
        if path.parent.resolve() not in folders:
            folders.append(path.parent.resolve())
    return names, folders


def name_in(path: pathlib.Path) -> str:
    if not path.is_file():
        sys.exit(f"{path}: there is no such file of a task")
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key in ("task", "group") and value.strip():
            return value.strip().strip("\"'")
    sys.exit(f"{path}: has no line 'task: NAME', so it is no task of lm-evaluation-harness")


def number_of(value: Any) -> float | None:
    """A metric of one item as a number; None where the metric is made of all items together, as F1 and perplexity are."""
    return float(value) if isinstance(value, (bool, int, float)) or type(value).__module__ == "numpy" else None


def values_of(lm: StrataLM, names: list[str], manager: TaskManager, limit: int | None) -> tuple[Values, dict[str, Any]]:
    found = simple_evaluate(model=lm, tasks=names, task_manager=manager, limit=limit, log_samples=True, bootstrap_iters=0)
    values: Values = {}
    for task, samples in found["samples"].items():
        for sample in samples:
            for metric in sample["metrics"]:
                number = number_of(sample.get(metric))
                if number is not None:
                    values.setdefault((task, metric, str(sample["filter"])), {})[int(sample["doc_id"])] = number
    return values, found["higher_is_better"]


def estimate(numbers: Sequence[float]) -> dict[str, float | None]:
    """Mean and its standard error, as the harness computes it; null for a single item."""
    count = len(numbers)
    mean = sum(numbers) / count
    if count < 2:
        return {"mean": mean, "stderr": None}
    spread = sum((number - mean) ** 2 for number in numbers) / (count - 1)
    return {"mean": mean, "stderr": math.sqrt(spread / count)}


def compared(values: Values, reference: Values | None, better: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for (task, metric, chosen), of_items in values.items():
        row: dict[str, Any] = {"task": task, "metric": metric, "filter": chosen, "items": len(of_items),
                               "higher_is_better": better.get(task, {}).get(metric), "value": estimate(list(of_items.values()))}
        if reference is not None:
            theirs = reference[task, metric, chosen]
            row["ref"] = estimate([theirs[item] for item in of_items])
            row["change"] = estimate([value - theirs[item] for item, value in of_items.items()])
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m strata.lm_eval.compare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--ref", help="the original")
    parser.add_argument("--tasks", required=True, help="names and YAML files, with commas between them")
    parser.add_argument("--limit", type=int, help="items of each task, from its start")
    parser.add_argument("--precision", default="f32", choices=["f32", "bf16"])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    args = parser.parse_args()
    names, folders = split([task for task in args.tasks.split(",") if task])
    manager = TaskManager(include_path=[str(folder) for folder in folders] or None)
    unknown = [name for name in names if name not in manager.all_tasks]
    if unknown:
        sys.exit(f"lm-evaluation-harness has no task {unknown[0]}; `python -m lm_eval ls tasks` lists them, and the YAML file of "
                 "one of your own can be given by its path")
    found: list[Values] = []
    better: dict[str, Any] = {}
    for path in [*args.models, *([args.ref] if args.ref else [])]:
        values, better = values_of(StrataLM(path, args.precision, threads=args.threads), names, manager, args.limit)
        found.append(values)
    reference = found.pop() if args.ref else None
    rows = [compared(values, reference, better) for values in found]
    with tempfile.NamedTemporaryFile("w", dir=args.output.parent, delete=False) as file:
        json.dump(rows, file)
    pathlib.Path(file.name).replace(args.output)


if __name__ == "__main__":
    main()
