"""What the scripts of the peers share: calibration tokens that are strata's own, and their model as f32 weights.

Every script is run by table.py with the interpreter of its own environment: NAME.py MODEL OUT --scheme S --calib TEXT.
"""
import argparse
import pathlib


def arguments(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--scheme", required=True)
    parser.add_argument("--calib", type=pathlib.Path)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--iters", type=int, default=200)
    return parser.parse_args()


def calibration_ids(args: argparse.Namespace) -> list[list[int]]:
    """(samples, seq_len) token ids: the first pieces of the text, as `strata quantize --calib` takes them."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    ids = tokenizer(args.calib.read_text(encoding="utf-8"), add_special_tokens=False).input_ids
    pieces = min(args.samples, len(ids) // args.seq_len)
    return [ids[i * args.seq_len : (i + 1) * args.seq_len] for i in range(pieces)]


def calibration(args: argparse.Namespace):
    """calibration_ids as a tensor."""
    import torch

    return torch.tensor(calibration_ids(args))


def save_dense(model, args: argparse.Namespace, dequantized: dict) -> None:
    """Writes OUT as a dense f32 model; dequantized: weights by module name, which replace the original's."""
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    args.out.mkdir(parents=True)
    tensors = {}
    for file in args.model.glob("*.safetensors"):
        tensors.update({name: tensor.float() for name, tensor in load_file(file).items()})
    for name, weight in dequantized.items():
        assert tensors[name + ".weight"].shape == weight.shape, name
        tensors[name + ".weight"] = weight.detach().to(torch.float32).contiguous()
    save_file(tensors, args.out / "model.safetensors", {"format": "pt"})
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        if (args.model / name).exists():
            shutil.copy(args.model / name, args.out / name)


def note(args: argparse.Namespace, **values) -> None:
    """What only the tool knows of its row (bits), beside the weights, for table.py."""
    import json

    (args.out / "peer.json").write_text(json.dumps(values))
