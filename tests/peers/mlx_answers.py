"""Run by test_mlx.py in mlx-lm's own environment: what MLX makes of folders, a line each on stdout, in one process.

    mlx_answers.py JOBS_JSON     jobs: [{"dir", "dense", "ids", "prompt"}]; RESULT {"dir", "wrong", "nll", "text"} or "error"

`dir` is a folder for mlx_lm, `dense` the same weights as strata reads them, in bf16. wrong: modules whose mx.dequantize is not
those; nll: of the second half of each sequence of ids, in f32; text: what mlx_lm.generate makes of the prompt, if there is one.
"""
import json
import pathlib
import sys

import mlx.core as mx
import mlx.nn as nn
from mlx_lm import generate, load
from mlx_lm.utils import load_model

EXPERTS = {"gate_proj": ("gate_proj", "w1"), "up_proj": ("up_proj", "w3"), "down_proj": ("down_proj", "w2")}


def tensors_of(folder: str) -> dict[str, mx.array]:
    tensors = {}
    for file in pathlib.Path(folder).glob("model*.safetensors"):
        tensors |= mx.load(str(file))
    return tensors


def dense_of(dense: dict[str, mx.array], module: str) -> mx.array:
    """A module's weights by the names of the original, a stack from its experts."""
    if f"{module}.weight" in dense:
        return dense[f"{module}.weight"]
    mixture, _, role = module.rpartition(".")
    mixture = mixture.rpartition(".")[0]
    names = next(n for n in EXPERTS[role] if f"{mixture}.experts.0.{n}.weight" in dense)
    experts = []
    while (name := f"{mixture}.experts.{len(experts)}.{names}.weight") in dense:
        experts.append(dense[name])
    return mx.stack(experts)


def wrong_modules(folder: str, dense_folder: str) -> list[str]:
    config = json.loads((pathlib.Path(folder) / "config.json").read_text())["quantization"]
    tensors, dense, wrong = tensors_of(folder), tensors_of(dense_folder), []
    modules = [name[:-len(".scales")] for name in tensors if name.endswith(".scales")]
    default = {key: value for key, value in config.items() if not isinstance(value, dict)}
    assert all(name in modules for name, value in config.items() if isinstance(value, dict))
    for module in modules:
        parts = [tensors[f"{module}.{part}"] for part in ("weight", "scales", "biases") if f"{module}.{part}" in tensors]
        parts = [part.astype(mx.float32) if part.dtype == mx.bfloat16 else part for part in parts]
        weights = mx.dequantize(*parts, **config.get(module, default), dtype=mx.float32).astype(mx.bfloat16)
        expected = dense_of(dense, module)
        if weights.shape != expected.shape or not mx.array_equal(weights, expected):
            wrong.append(module)
    return wrong


def losses(folder: str, sequences: list[list[int]]) -> list[float]:
    model, _ = load_model(pathlib.Path(folder))
    model.set_dtype(mx.float32)
    result = []
    for ids in sequences:
        logits = model(mx.array(ids)[None]).astype(mx.float32)[0]
        first = len(ids) // 2
        loss = nn.losses.cross_entropy(logits[first:-1], mx.array(ids)[first + 1:])
        result += loss.tolist()
    return result


def main() -> None:
    for job in json.loads(sys.argv[1]):
        result = {"dir": job["dir"]}
        try:
            result["wrong"] = wrong_modules(job["dir"], job["dense"])
            result["nll"] = losses(job["dir"], job["ids"])
            if job["prompt"]:
                model, tokenizer = load(job["dir"])
                model.set_dtype(mx.float32)  # mlx multiplies bf16 on a CPU many times slower
                result["text"] = generate(model, tokenizer, prompt=job["prompt"], max_tokens=6)
        except Exception as error:  # one folder that does not load must not hide the others
            result["error"] = f"{type(error).__name__}: {error}"
        print("RESULT " + json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
