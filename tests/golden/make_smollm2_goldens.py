#!/usr/bin/env python3
"""Makes tests/golden/smollm2_*.json: what transformers computes in float32 on the SmolLM2 test models (weights not committed).

  smollm2_logits.json   logits of one sequence at fixed positions and vocabulary indices, argmax, log of the sum of exponentials
  smollm2_scores.json   lim, lim_flat, zd and the extremal ratio of every block
  smollm2_eval.json     perplexity, and KL divergence between the plain and the dithered model, on 4 chunks of wiki.test.raw

    build/venv-hf/bin/python tests/golden/make_smollm2_goldens.py [--text wiki.test.raw]
Needs build/models/smollm2 and build/models/smollm2-dither1 (scripts/make_testbed.py).
"""
import argparse
import json
import pathlib

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
CHUNK = 512
SCORED = range(256, 511)  # position i predicts token i + 1
LOGIT_IDS = 256  # tokens of the sequence of smollm2_logits.json
LINEARS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
           "mlp.down_proj")


def load(name: str):
    folder = ROOT / "build/models" / name
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def write(name: str, value: dict) -> None:
    """One key a line, so that a change can be read in a diff."""
    lines = (f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in value.items())
    (HERE / name).write_text("{" + ",\n".join(lines) + "}\n")


@torch.no_grad()
def logits_golden(model, ids: list[int]) -> dict:
    logits = model(torch.tensor([ids])).logits[0]
    positions = np.linspace(0, len(ids) - 1, 64).astype(int).tolist()
    vocabulary = np.linspace(0, logits.shape[1] - 1, 64).astype(int).tolist()
    return {"ids": ids, "argmax": logits.argmax(-1).tolist(),
            "logsumexp": np.round(logits.double().logsumexp(-1).numpy(), 6).tolist(), "positions": positions,
            "vocabulary": vocabulary,
            "logits": [[float(f"{x:.7g}") for x in logits[p, vocabulary].tolist()] for p in positions]}


@torch.no_grad()
def scores_golden(model, ids: list[int]) -> dict:
    """Definitions: docs/signals.md. Sums in f64; z with the population standard deviation."""
    blocks, pairs = model.model.layers, {}

    def observe(index):
        return lambda module, args, output: pairs.__setitem__(
            index, (args[0][0].double().numpy(), output.reshape(len(ids), -1).double().numpy()))

    handles = [block.register_forward_hook(observe(i)) for i, block in enumerate(blocks)]
    model(torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    result = {"ids": ids, "lim": [], "lim_flat": [], "zd": [], "zd_mean_of_linears": [], "extremal": []}
    cosine = lambda a, b: (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
    above = lambda w: float((np.abs(w - w.mean()) > w.std()).mean())
    for i, block in enumerate(blocks):
        before, after = pairs[i]
        result["lim"].append(-float(cosine(before, after).mean()))
        result["lim_flat"].append(-float(cosine(before.ravel(), after.ravel())))
        linears = [block.get_submodule(name).weight.double().numpy().ravel() for name in LINEARS]
        pooled = np.concatenate(linears)
        result["zd"].append(above(pooled))
        result["zd_mean_of_linears"].append(float(np.mean([above(w) for w in linears])))
        result["extremal"].append(float(np.abs(pooled).max() / np.abs(pooled).mean()))
    return {k: v if k == "ids" else [float(f"{x:.9g}") for x in v] for k, v in result.items()}


@torch.no_grad()
def log_probabilities(model, ids: list[int]) -> torch.Tensor:
    """[255, vocabulary] in double: the scored positions of one chunk."""
    return model(torch.tensor([ids])).logits[0, SCORED.start:SCORED.stop].double().log_softmax(-1)


def perplexity(nll: np.ndarray) -> tuple[float, float]:
    value = float(np.exp(nll.mean()))
    return value, value * float(nll.std(ddof=1) / len(nll) ** 0.5)


def eval_golden(model, quantized, chunks: list[list[int]]) -> dict:
    nll, ref_nll, kl, same = [], [], [], []
    for ids in chunks:
        p, q = log_probabilities(model, ids), log_probabilities(quantized, ids)
        target = torch.tensor(ids[SCORED.start + 1:SCORED.stop + 1])[:, None]
        ref_nll.append(-p.gather(1, target)[:, 0].numpy())
        nll.append(-q.gather(1, target)[:, 0].numpy())
        kl.append((p.exp() * (p - q)).sum(-1).numpy())
        same.append((p.argmax(-1) == q.argmax(-1)).numpy())
    nll, ref_nll, kl, same = map(np.concatenate, (nll, ref_nll, kl, same))
    ref, ref_stderr = perplexity(ref_nll)
    value, stderr = perplexity(nll)
    return {"text": "the first 4 x 512 tokens of wiki.test.raw, no BOS", "chunks": len(chunks), "tokens": len(kl),
            "perplexity": value, "perplexity_stderr": stderr, "ref_perplexity": ref, "ref_perplexity_stderr": ref_stderr,
            "kl_divergence": {"mean": float(kl.mean()), "stderr": float(kl.std(ddof=1) / len(kl) ** 0.5),
                              "median": float(np.median(kl)), "p99": float(np.percentile(kl, 99)), "max": float(kl.max())},
            "top1_agreement": float(same.mean()), "ids": [i for chunk in chunks for i in chunk]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=pathlib.Path, default=ROOT.parent / "shared/data/text/wiki.test.raw")
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "build/models/smollm2")
    # The text's start gives more tokens than are used, so that where it is cut does not matter.
    ids = tokenizer(args.text.read_text()[:20000], add_special_tokens=False).input_ids[:4 * CHUNK]
    plain, dithered = load("smollm2"), load("smollm2-dither1")
    write("smollm2_logits.json", logits_golden(plain, ids[:LOGIT_IDS]))
    write("smollm2_scores.json", scores_golden(plain, ids[:CHUNK]))
    result = eval_golden(plain, dithered, [ids[i:i + CHUNK] for i in range(0, len(ids), CHUNK)])
    write("smollm2_eval.json", result)
    print(json.dumps({k: v for k, v in result.items() if k != "ids"}, indent=1))


if __name__ == "__main__":
    main()
