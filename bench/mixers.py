#!/usr/bin/env python3
"""Prefill of 512 tokens through blocks of each mixer, beside attention blocks of the same width, feed-forward part and heads.

    build/venv-hf/bin/python bench/mixers.py OUT [--strata build/release/strata] [--rounds 3]

Random models of four blocks are made in OUT, one a mixer; `strata bench --model` times them in turns, and the best of the
rounds counts: another process can only make a run slower. `a weight` is the ratio at equal numbers of weights in the blocks.
"""
import argparse
import json
import pathlib
import subprocess

import torch
import transformers as hf

HIDDEN, FEED_FORWARD, BLOCKS, VOCAB, HEADS, HEAD = 2048, 4096, 4, 4096, 16, 128
COMMON = dict(vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=FEED_FORWARD, num_hidden_layers=BLOCKS,
              num_attention_heads=HEADS, max_position_embeddings=4096, tie_word_embeddings=True, bos_token_id=1,
              eos_token_id=2, pad_token_id=0)


def granite(kind):
    return hf.GraniteMoeHybridForCausalLM(hf.GraniteMoeHybridConfig(
        **COMMON, num_key_value_heads=4, shared_intermediate_size=FEED_FORWARD, layers_block_type=[kind] * BLOCKS,
        num_local_experts=0, num_experts_per_tok=0, mamba_n_heads=64, mamba_d_head=64, mamba_d_state=128, mamba_n_groups=1,
        mamba_expand=2, mamba_d_conv=4, position_embedding_type="rope"))


def qwen(kind):
    return hf.Qwen3_5ForCausalLM(hf.Qwen3_5TextConfig(
        **COMMON, num_key_value_heads=4, head_dim=HEAD, linear_num_key_heads=HEADS, linear_num_value_heads=HEADS,
        linear_key_head_dim=HEAD, linear_value_head_dim=HEAD, layer_types=[kind] * BLOCKS))


def lfm2(kind):
    return hf.Lfm2ForCausalLM(hf.Lfm2Config(**COMMON, num_key_value_heads=4, layer_types=[kind] * BLOCKS,
                                            block_auto_adjust_ff_dim=False))


def deepseek():
    return hf.DeepseekV3ForCausalLM(hf.DeepseekV3Config(
        **COMMON, num_key_value_heads=HEADS, first_k_dense_replace=BLOCKS, q_lora_rank=768, kv_lora_rank=512,
        qk_rope_head_dim=64, qk_nope_head_dim=HEAD, v_head_dim=HEAD))


def llama():
    return hf.LlamaForCausalLM(hf.LlamaConfig(**COMMON, num_key_value_heads=4))


# Name of the mixer, its model, and the name of the attention beside it.
MODELS = {
    "attention of Llama": (llama, None),
    "attention of Granite": (lambda: granite("attention"), None),
    "gated attention of Qwen3.5": (lambda: qwen("full_attention"), None),
    "attention of LFM2": (lambda: lfm2("full_attention"), None),
    "latent attention of DeepSeek": (deepseek, "attention of Llama"),
    "gated delta net of Qwen3.5": (lambda: qwen("linear_attention"), "gated attention of Qwen3.5"),
    "short convolution of LFM2": (lambda: lfm2("conv"), "attention of LFM2"),
    "Mamba-2 of Granite": (lambda: granite("mamba"), "attention of Granite"),
}


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out", type=pathlib.Path)
    ap.add_argument("--strata", default="build/release/strata")
    ap.add_argument("--rounds", type=int, default=3)
    args = ap.parse_args()
    torch.manual_seed(0)
    weights, speeds = {}, {name: {"f32": 0.0, "bf16": 0.0} for name in MODELS}
    for name, (make, _) in MODELS.items():
        model = make().to(torch.bfloat16)
        weights[name] = sum(p.numel() for p in model.parameters()) - VOCAB * HIDDEN
        model.save_pretrained(args.out / name)
    for _ in range(args.rounds):
        for name in MODELS:
            result = json.loads(subprocess.run([args.strata, "bench", "--model", str(args.out / name), "--json"],
                                               capture_output=True, text=True, check=True).stdout)
            for precision in speeds[name]:
                speeds[name][precision] = max(speeds[name][precision], result[precision]["prefill_tokens_per_second"])
    print("| mixer | weights of a block, M | tokens/s, f32 | bf16 | of attention's, f32 | bf16 | a weight, f32 | bf16 |\n"
          "|---|---|---|---|---|---|---|---|")
    for name, (_, beside) in MODELS.items():
        cells = [name, f"{weights[name] / BLOCKS / 1e6:.1f}"] + [f"{speed:.0f}" for speed in speeds[name].values()]
        if beside:
            ratios = [speeds[name][p] / speeds[beside][p] for p in speeds[name]]
            more = weights[name] / weights[beside]
            cells += [f"{ratio:.2f}" for ratio in ratios] + [f"{ratio * more:.2f}" for ratio in ratios]
        else:
            cells += [""] * 4
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
