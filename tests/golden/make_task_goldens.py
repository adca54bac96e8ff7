#!/usr/bin/env python3
"""Makes smollm2_tasks.json: what lm-evaluation-harness's own model type `hf` answers on the first items of some tasks.

    PYTHONPATH=tests/python build/venv-hf/bin/python tests/golden/make_task_goldens.py MODEL TASKS

MODEL: SmolLM2 as scripts/make_testbed.py makes it; TASKS: the folder of the items. The environment needs lm_eval 0.4.13
beside what is pinned for it. In float32, on a CPU. --whole, --only and --softmax are for bench/peers/task_parity.py.
"""
import argparse
import json
import pathlib
import tempfile

from lm_eval.models.huggingface import HFLM
from local_tasks import TASKS, answers, write_tasks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("tasks", type=pathlib.Path)
    parser.add_argument("--whole", type=pathlib.Path, help="file to write the answers to all items to instead")
    parser.add_argument("--only", nargs="*", default=list(TASKS), choices=TASKS, help="tasks")
    parser.add_argument("--softmax", default="float32", help="type of the log softmax; `hf` takes that of the logits")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_tasks(pathlib.Path(folder), args.tasks)
        lm = HFLM(pretrained=args.model, dtype="float32", device="cpu", batch_size=16, softmax_dtype=args.softmax)
        found = answers(lm, pathlib.Path(folder), args.only, args.whole is not None)
    lines = ",\n".join(f' "{name}": [\n  ' + ",\n  ".join(json.dumps(item) for item in items) + "]" for name, items in found.items())
    out = args.whole or pathlib.Path(__file__).with_name("smollm2_tasks.json")
    out.write_text("{\n" + lines + "}\n")


if __name__ == "__main__":
    main()
