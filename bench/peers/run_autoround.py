"""AutoRound on the CPU; the weights that it ends with are saved dense. Schemes: int4_g64 | int3_g64 | int2_g32 ..., and
with :light behind them its own recipe of that name (50 steps of 5e-3).

Symmetric, default options but for the calibration tokens, which are strata's, and --iters (its own default is 200).
"""
import re

import peer_model


def main() -> None:
    args = peer_model.arguments(__doc__)
    import torch
    from auto_round import AutoRound
    from transformers import AutoModelForCausalLM, AutoTokenizer

    match = re.fullmatch(r"int(\d)_g(\d+)(:light)?", args.scheme)
    scheme = {"bits": int(match[1]), "group_size": int(match[2]), "sym": True, "data_type": "int", "act_bits": 16}
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    ids = peer_model.calibration(args)
    recipe = {"iters": 50, "lr": 5e-3} if match[3] else {"iters": args.iters}
    rounder = AutoRound(model, tokenizer, scheme=scheme, **recipe, seqlen=args.seq_len, nsamples=len(ids),
                        dataset=[{"input_ids": piece[None], "attention_mask": torch.ones_like(piece)[None]} for piece in ids],
                        device_map="cpu", enable_torch_compile=False)
    result = rounder.quantize()
    model = result[0] if isinstance(result, tuple) else result
    dequantized = {}
    for name, module in model.named_modules():
        if ".layers." in name and getattr(module, "weight", None) is not None and module.weight.dim() == 2:
            dequantized[name.removesuffix(".orig_layer")] = module.weight
    peer_model.save_dense(model, args, dequantized)


if __name__ == "__main__":
    main()
