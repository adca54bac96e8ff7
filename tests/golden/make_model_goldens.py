#!/usr/bin/env python3
"""Makes tests/golden/models/: tiny random models of every family and variant, each with the logits that transformers computes.

A folder is a Hugging Face directory without tokenizer (random weights stored as bf16, f16 or f32, some sharded), plus
  golden.json   "ids": a list of sequences, "shapes": [tokens, vocabulary] of each sequence's logits
  logits.f32    the logits of all sequences one after another, float32 little-endian, computed in float32

    scripts/make_venv.sh hf && build/venv-hf/bin/python tests/golden/make_model_goldens.py [NAME...]   # all, or some anew
"""
import json
import pathlib
import shutil
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
VOCAB = 80
BASE = {"vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 128, "rope_theta": 10000.0, "rms_norm_eps": 1e-5,
        "hidden_act": "silu", "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2}
LLAMA = {**BASE, "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False, "mlp_bias": False}
MISTRAL = {**BASE, "architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": None}
QWEN2 = {**BASE, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": False,
         "sliding_window": 32768, "max_window_layers": 2, "rope_theta": 1000000.0, "rms_norm_eps": 1e-6}
QWEN3 = {**QWEN2, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 16, "attention_bias": False}
MIXTRAL = {**MISTRAL, "architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "intermediate_size": 32,
           "num_local_experts": 4, "num_experts_per_tok": 2}
QWEN_EXPERTS = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "decoder_sparse_step": 1,
                "norm_topk_prob": True, "mlp_only_layers": []}
QWEN3_MOE = {**QWEN3, **QWEN_EXPERTS, "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe"}
QWEN2_MOE = {**QWEN2, **QWEN_EXPERTS, "architectures": ["Qwen2MoeForCausalLM"], "model_type": "qwen2_moe", "norm_topk_prob": False,
             "shared_expert_intermediate_size": 48}
OLMOE = {**BASE, "architectures": ["OlmoeForCausalLM"], "model_type": "olmoe", "attention_bias": False, "clip_qkv": None,
         "intermediate_size": 32, "num_experts": 8, "num_experts_per_tok": 3, "norm_topk_prob": False}
GLM4_MOE = {**BASE, "architectures": ["Glm4MoeForCausalLM"], "model_type": "glm4_moe", "attention_bias": True, "head_dim": 16,
            "num_hidden_layers": 3, "moe_intermediate_size": 32, "n_routed_experts": 8, "num_experts_per_tok": 2, "n_shared_experts": 1,
            "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1, "norm_topk_prob": True, "routed_scaling_factor": 2.5,
            "partial_rotary_factor": 0.5, "use_qk_norm": False, "num_nextn_predict_layers": 0}
LLAMA3_SCALING = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                  "original_max_position_embeddings": 64}

# name -> (config.json as published models write it, dtype of the file, shards, lengths of the sequences).
# Both spellings of the rotary settings occur in the wild: "rope_theta" + "rope_scaling" (with "type" or "rope_type"), and
# since transformers 5 "rope_parameters" alone.
VARIANTS = {
    "llama_tied": ({**LLAMA, "tie_word_embeddings": True, "num_key_value_heads": 4}, "bfloat16", 1, (40, 40)),
    "llama_untied_sharded": ({**LLAMA, "num_hidden_layers": 3}, "bfloat16", 3, (40, 40)),
    "llama_mqa_f32": ({**LLAMA, "num_key_value_heads": 1, "rms_norm_eps": 1e-2}, "float32", 1, (40, 7)),
    "llama_head_dim": ({**LLAMA, "head_dim": 24}, "float16", 1, (40, 40)),
    "llama_rope_llama3": ({**LLAMA, "rope_theta": 500.0, "rope_scaling": LLAMA3_SCALING}, "bfloat16", 1, (40, 100)),
    "llama_rope_parameters": (
        {**{k: v for k, v in LLAMA.items() if k != "rope_theta"}, "rope_parameters": {**LLAMA3_SCALING, "rope_theta": 500.0}},
        "bfloat16", 1, (40,)),
    "llama_rope_linear": ({**LLAMA, "rope_scaling": {"type": "linear", "factor": 4.0}}, "float16", 1, (40, 40)),
    "llama_rope_dynamic": (
        {**LLAMA, "max_position_embeddings": 32, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
        "bfloat16", 1, (24, 48, 33)),
    "llama_attention_bias": ({**LLAMA, "attention_bias": True}, "bfloat16", 1, (40, 40)),
    "llama_mlp_bias": ({**LLAMA, "mlp_bias": True}, "bfloat16", 1, (40, 40)),
    "mistral": ({**MISTRAL, "head_dim": 16}, "bfloat16", 1, (40, 40)),
    "mistral_sliding": ({**MISTRAL, "sliding_window": 8}, "bfloat16", 1, (40, 9)),
    "qwen2": ({**QWEN2, "tie_word_embeddings": True}, "bfloat16", 1, (40, 40)),
    "qwen2_untied_sharded": (QWEN2, "float32", 2, (40,)),
    "qwen3": ({**QWEN3, "tie_word_embeddings": True}, "bfloat16", 1, (40, 40)),
    "qwen3_untied": ({**QWEN3, "num_key_value_heads": 4}, "float16", 1, (40,)),
    "mixtral": (MIXTRAL, "bfloat16", 1, (40, 9)),
    "qwen3_moe": (QWEN3_MOE, "bfloat16", 1, (40, 1)),
    "qwen3_moe_sparse": ({**QWEN3_MOE, "num_hidden_layers": 4, "decoder_sparse_step": 2, "mlp_only_layers": [3], "norm_topk_prob": False,
                          "tie_word_embeddings": True}, "float32", 2, (40,)),
    "qwen2_moe": (QWEN2_MOE, "bfloat16", 1, (40, 40)),
    "olmoe": (OLMOE, "bfloat16", 1, (40, 40)),
    "glm4_moe": (GLM4_MOE, "bfloat16", 1, (40, 40)),
    "glm4_moe_groups": ({**GLM4_MOE, "n_group": 4, "topk_group": 2, "use_qk_norm": True, "attention_bias": False, "norm_topk_prob": False},
                        "float16", 1, (40,)),
}


def random_weights(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Weights large enough that every part shows in the logits: a norm or bias left out must not pass a test."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if name.endswith("norm.weight"):
                p.copy_(1 + 0.3 * noise)
            elif p.ndim == 1:
                p.copy_(0.5 * noise)
            elif p.ndim == 3:  # all experts of a block
                p.copy_(1.5 * noise / p.shape[2] ** 0.5)
            elif "embed_tokens" in name:
                p.copy_(noise)
            else:
                p.copy_(1.5 * noise / p.shape[1] ** 0.5)
        for name, p in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                p.copy_(0.2 * torch.randn(p.shape, generator=generator))


def published_names(state: dict, model_type: str) -> dict:
    """transformers stacks the experts of a block; files have a tensor each, under the names that the family was published with."""
    mixtral = model_type == "mixtral"
    gate, up, down = ("w1", "w3", "w2") if mixtral else ("gate_proj", "up_proj", "down_proj")
    result = {}
    for name, tensor in state.items():
        name = name.replace(".mlp.", ".block_sparse_moe.") if mixtral else name
        stem = name.rpartition(".")[0]
        if name.endswith(".experts.gate_up_proj"):
            for i, both in enumerate(tensor):
                result[f"{stem}.{i}.{gate}.weight"], result[f"{stem}.{i}.{up}.weight"] = both.chunk(2)
        elif name.endswith(".experts.down_proj"):
            result |= {f"{stem}.{i}.{down}.weight": matrix for i, matrix in enumerate(tensor)}
        else:
            result[name] = tensor
    return result


def save(model: torch.nn.Module, config: dict, dtype: torch.dtype, shards: int, out: pathlib.Path) -> None:
    """Writes the folder; the shards split the tensors evenly by number, with the usual index."""
    tied = config["tie_word_embeddings"]
    state = published_names(model.state_dict(), config["model_type"])
    state = {k: v.to(torch.float32 if "e_score" in k else dtype).contiguous() for k, v in state.items()
             if not (tied and k == "lm_head.weight")}
    names = list(state)
    (out / "config.json").write_text(json.dumps({**config, "torch_dtype": str(dtype).split(".")[1]}, indent=2) + "\n")
    if shards == 1:
        save_file(state, out / "model.safetensors", metadata={"format": "pt"})
        return
    index = {}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = {n: state[n] for n in names[i * len(names) // shards:(i + 1) * len(names) // shards]}
        save_file(part, out / file, metadata={"format": "pt"})
        index |= dict.fromkeys(part, file)
    total = sum(t.numel() * t.element_size() for t in state.values())
    (out / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": dict(sorted(index.items()))}, indent=2) + "\n")


def logits(folder: pathlib.Path, ids: list[int]) -> np.ndarray:
    """[tokens, vocabulary]; a model freshly loaded for each sequence, since dynamic scaling keeps state."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].float().numpy()


def main(names: list[str]) -> None:
    models = HERE / "models"
    for number, (name, (config, dtype, shards, lengths)) in enumerate(VARIANTS.items()):
        if names and name not in names:
            continue
        out = models / name
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        (out / "config.json").write_text(json.dumps(config))
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(out), dtype=torch.float32)
        random_weights(model, torch.Generator().manual_seed(number))
        save(model, config, getattr(torch, dtype), shards, out)
        rng = np.random.default_rng(number)
        ids = [rng.integers(0, VOCAB, n).tolist() for n in lengths]
        results = [logits(out, sequence) for sequence in ids]
        (out / "logits.f32").write_bytes(b"".join(r.astype("<f4").tobytes() for r in results))
        (out / "golden.json").write_text(json.dumps({"ids": ids, "shapes": [list(r.shape) for r in results]}) + "\n")
        size = sum(f.stat().st_size for f in out.iterdir())
        print(f"{name:24} {size:7d} bytes, logits std {np.concatenate(results).std():.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
