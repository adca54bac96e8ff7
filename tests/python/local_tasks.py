"""Tasks for lm-evaluation-harness whose items are files of the test data: nothing is asked of the network."""
import pathlib
from collections.abc import Iterable
from typing import Any

CHOICES = "output_type: multiple_choice\nmetric_list: [{metric: acc}, {metric: acc_norm}]\n"
QUESTION = CHOICES + r'''
doc_to_text: "{{query}}\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: "{{gold}}"
'''
TASKS = {  # name -> file of the data, the first items that tests use, the rest of the task
    "local_arc_easy": ("arc_easy.jsonl", 60, QUESTION),
    "local_arc_challenge": ("arc_challenge.jsonl", 40, QUESTION),
    "local_hellaswag": ("hellaswag_val_sample1000.jsonl", 40, CHOICES + '''
doc_to_text: "{{ctx}}"
doc_to_choice: "{{endings}}"
doc_to_target: "{{label}}"
'''),
    "local_piqa": ("piqa_valid.jsonl", 40, QUESTION.replace(r"\nAnswer:", "Answer:")),
    # Two beginnings of one sentence, of which the likelier end tells.
    "local_winogrande": ("winogrande_dev.jsonl", 60, CHOICES + '''
doc_to_text: "{{gold}}"
doc_to_choice: "{{context_options}}"
doc_to_target: "{{continuation}}"
'''),
    "local_gsm8k": ("gsm8k/test.jsonl", 10, r'''
output_type: generate_until
doc_to_text: "Question: {{question}}\nAnswer:"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["Question:"], max_gen_toks: 40, do_sample: false}
metric_list: [{metric: bypass}]
'''),
}


def write_tasks(folder: pathlib.Path, data: pathlib.Path) -> None:
    """A YAML file a task; data: the folder of the items."""
    for name, (file, _, rest) in TASKS.items():
        source = f"dataset_path: json\ndataset_kwargs: {{data_files: {{test: {data.resolve() / file}}}}}\ntest_split: test\n"
        (folder / f"{name}.yaml").write_text(f"task: {name}\n{source}{rest}")


def answers(lm: object, folder: pathlib.Path, names: Iterable[str] = TASKS, whole: bool = False) -> dict[str, Any]:
    """By task, what the model answers on its first items or all: of choices [log-likelihood, greedy] each, else the text."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    found = {}
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    for name in names:
        count = TASKS[name][1]
        result = simple_evaluate(model=lm, tasks=[name], task_manager=manager, limit=None if whole else count, log_samples=True,
                                 bootstrap_iters=0)
        samples = sorted(result["samples"][name], key=lambda sample: int(sample["doc_id"]))
        found[name] = [[resp[0] for resp in sample["resps"]] for sample in samples]
    return found
