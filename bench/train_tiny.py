#!/usr/bin/env python3
"""Trains a small model of a family on bytes.

    build/venv-hf/bin/python bench/train_tiny.py OUT --text FILE [--family qwen3_5] [--minutes 15] [--steps 2000]
    build/release/strata score OUT --signals all --judge --calib FILE -o SCORES.json

Few families have a model that is small enough to be measured in minutes on two cores, and a random one has no layers that
matter more than others. This one learns the words of the text: signals can be judged against kl on its kind of block, and
runtimes compared on a model whose logits mean something.
"""
import argparse
import pathlib
import sys
import time

import numpy as np
import torch
import transformers as hf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scripts"))
from make_random_model import write_tokenizer  # noqa: E402

CONTEXT, BATCH = 256, 8
COMMON = dict(vocab_size=258, hidden_size=256, intermediate_size=768, num_hidden_layers=8, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=True, bos_token_id=256, eos_token_id=257,
              pad_token_id=257)
# Gated delta nets in three of four blocks, convolutions in two of three, Mamba-2 in three of four, and blocks with windows
# of which the last two share the keys and values of the two before them, as llama.cpp wants it.
FAMILIES = {
    "qwen3_5": lambda: hf.Qwen3_5ForCausalLM(hf.Qwen3_5TextConfig(
        **COMMON, head_dim=64, linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=64,
        linear_value_head_dim=64)),
    "lfm2": lambda: hf.Lfm2ForCausalLM(hf.Lfm2Config(
        **COMMON, block_auto_adjust_ff_dim=False,
        layer_types=[("conv", "conv", "full_attention")[i % 3] for i in range(8)])),
    "granitemoehybrid": lambda: hf.GraniteMoeHybridForCausalLM(hf.GraniteMoeHybridConfig(
        **COMMON, shared_intermediate_size=768, num_local_experts=0, num_experts_per_tok=0, mamba_n_heads=8, mamba_d_head=64,
        mamba_d_state=64, mamba_n_groups=1, mamba_expand=2, mamba_d_conv=4, position_embedding_type="rope",
        layers_block_type=["attention" if i % 4 == 3 else "mamba" for i in range(8)])),
    "gemma4": lambda: hf.Gemma4ForCausalLM(hf.Gemma4TextConfig(
        **COMMON, head_dim=64, global_head_dim=128, hidden_size_per_layer_input=64, vocab_size_per_layer_input=258,
        num_kv_shared_layers=2, sliding_window=64,
        layer_types=["full_attention" if i in (2, 5, 7) else "sliding_attention" for i in range(8)])),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--family", choices=FAMILIES, default="qwen3_5")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    text = np.frombuffer(args.text.read_bytes(), np.uint8).astype(np.int64)
    torch.manual_seed(args.seed)
    model, random = FAMILIES[args.family]().train(), np.random.default_rng(args.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95), weight_decay=0.05)
    begin, done = time.monotonic(), 0.0
    for step in range(args.steps):
        # The rate follows the share of steps or of time that is gone, whichever is larger, and ends near zero.
        done = max(step / args.steps, (time.monotonic() - begin) / (60 * args.minutes))
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 50) * (0.5 + 0.5 * np.cos(np.pi * done))
        starts = random.integers(0, len(text) - CONTEXT, BATCH)
        ids = torch.from_numpy(np.stack([text[s : s + CONTEXT] for s in starts]))
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 50 == 0:
            print(f"step {step}: {loss.item():.3f} nats a byte, {time.monotonic() - begin:.0f} s", flush=True)
    model.eval().to(torch.bfloat16).save_pretrained(args.out)
    write_tokenizer(args.out)
    print(f"{args.out}: {loss.item():.3f} nats a byte after {step} steps")


if __name__ == "__main__":
    main()
