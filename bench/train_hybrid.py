#!/usr/bin/env python3
"""Trains a small hybrid on bytes: qwen3_5_text, gated delta nets in three of four blocks and attention in the fourth.

    build/venv-hf/bin/python bench/train_hybrid.py OUT --text FILE [--minutes 15] [--steps 2000]
    build/release/strata score OUT --signals kl,act_mse,fisher,zd,lim --calib FILE -o SCORES.json

No hybrid that people use is small enough to be measured in minutes on two cores, and a random model has no layers that
matter more than others. This one learns the words of the text, so that signals can be judged against kl on its kind of block.
"""
import argparse
import pathlib
import sys
import time

import numpy as np
import torch
from transformers import Qwen3_5ForCausalLM, Qwen3_5TextConfig

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scripts"))
from make_random_model import write_tokenizer  # noqa: E402

CONTEXT, BATCH = 256, 8


def model_of(seed):
    torch.manual_seed(seed)
    config = Qwen3_5TextConfig(
        vocab_size=258, hidden_size=256, intermediate_size=768, num_hidden_layers=8, num_attention_heads=4, num_key_value_heads=2,
        head_dim=64, linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=64, linear_value_head_dim=64,
        max_position_embeddings=2048, tie_word_embeddings=True, bos_token_id=256, eos_token_id=257)
    return Qwen3_5ForCausalLM(config)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    text = np.frombuffer(args.text.read_bytes(), np.uint8).astype(np.int64)
    model, random = model_of(args.seed).train(), np.random.default_rng(args.seed)
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
