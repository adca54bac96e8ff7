#!/usr/bin/env python3
"""Makes smollm2_tasks.json: what lm-evaluation-harness's own model type `hf` answers on the first items of some tasks.

    PYTHONPATH=tests/python build/venv-hf/bin/python tests/golden/make_task_goldens.py MODEL TASKS

MODEL: SmolLM2 as scripts/make_testbed.py makes it; TASKS: the folder of the items. The environment needs lm_eval 0.4.13
beside what is pinned for it. In float32, on a CPU.
"""
import json
import pathlib
import sys
import tempfile

from lm_eval.models.huggingface import HFLM
from local_tasks import answers, write_tasks


def main() -> None:
    model, data = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        write_tasks(pathlib.Path(folder), pathlib.Path(data))
        found = answers(HFLM(pretrained=model, dtype="float32", device="cpu", batch_size=4), pathlib.Path(folder))
    lines = ",\n".join(f' "{name}": [\n  ' + ",\n  ".join(json.dumps(item) for item in items) + "]" for name, items in found.items())
    pathlib.Path(__file__).with_name("smollm2_tasks.json").write_text("{\n" + lines + "}\n")


if __name__ == "__main__":
    main()
