"""AutoRound on the CPU; the weights that it ends with are saved dense. Schemes: int4_g64 | int3_g64 | int2_g32 ..., with :light
behind them its own recipe of that name (50 steps of 5e-3), with :rtn no steps; or auto:BITS, which is its AutoScheme at so many
bits a weight over the options of its documentation, with the same endings.

Symmetric, default options but for the calibration tokens, which are strata's, and --iters (its own default is 200). AutoScheme scores
16 of the pieces, 256 tokens of each (its defaults). Bits of auto: are those of codes and 16-bit scales, without the zero points of its
own format, which are all the same.
"""
import argparse
import hashlib
import json
import pathlib
import re
import tempfile

import peer_model

OPTIONS = ("W2A16G64", "W4A16", "W8A16")


def auto_scheme(args, bits: float, tokenizer):
    """AutoScheme reads its text from a file: the pieces, each with some text more, since a piece cut elsewhere may be a token shorter.

    It keeps scores by the names of model and text, so the text's name tells what is in it.
    """
    from auto_round import AutoScheme

    args = argparse.Namespace(**{**vars(args), "samples": args.samples + 1})
    ids = sum(peer_model.calibration_ids(args), [])
    texts = json.dumps([tokenizer.decode(ids[i : i + args.seq_len + 16]) for i in range(0, len(ids) - args.seq_len, args.seq_len)])
    file = pathlib.Path(tempfile.gettempdir()) / f"autoscheme-{hashlib.sha256(texts.encode()).hexdigest()[:16]}.json"
    file.write_text(texts)
    return AutoScheme(avg_bits=bits, options=OPTIONS), str(file)


def written_bits(config: dict, modules: dict) -> float:
    """Bits a weight of the linears named in AutoRound's layer configuration: codes, and 16 bits a group."""
    bits = weights = 0
    for name, layer in config.items():
        out, width = modules[name].weight.shape
        bits += out * (width * layer["bits"] + 16 * -(-width // layer["group_size"]))
        weights += out * width
    return bits / weights


def main() -> None:
    args = peer_model.arguments(__doc__)
    import torch
    from auto_round import AutoRound
    from transformers import AutoModelForCausalLM, AutoTokenizer

    match = re.fullmatch(r"(?:auto:([\d.]+)|int(\d)_g(\d+))(?::(light|rtn))?", args.scheme)
    average, bits, group, recipe = match.groups()
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    ids = peer_model.calibration(args)
    samples = [{"input_ids": piece[None], "attention_mask": torch.ones_like(piece)[None]} for piece in ids]
    if average:
        scheme, samples = auto_scheme(args, float(average), tokenizer)
    else:
        scheme = {"bits": int(bits), "group_size": int(group), "sym": True, "data_type": "int", "act_bits": 16}
    steps = {"light": {"iters": 50, "lr": 5e-3}, "rtn": {"iters": 0, "disable_opt_rtn": False}, None: {"iters": args.iters}}[recipe]
    rounder = AutoRound(model, tokenizer, scheme=scheme, **steps, seqlen=args.seq_len, nsamples=len(ids), dataset=samples,
                        device_map="cpu", enable_torch_compile=False)
    result = rounder.quantize()
    model, config = result if isinstance(result, tuple) else (result, None)
    dequantized = {}
    for name, module in model.named_modules():
        if ".layers." in name and getattr(module, "weight", None) is not None and module.weight.dim() == 2:
            dequantized[name.removesuffix(".orig_layer")] = module.weight
    peer_model.save_dense(model, args, dequantized)
    if average:
        shape = {name: {"bits": c["bits"], "group_size": c["group_size"]} for name, c in config.items() if name in dequantized}
        print(json.dumps(shape))
        peer_model.note(args, bits=written_bits(shape, dict(model.named_modules())))


if __name__ == "__main__":
    main()
