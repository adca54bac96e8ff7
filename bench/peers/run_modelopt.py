"""NVIDIA's ModelOpt on the CPU: its auto_quantize at so many effective bits of the blocks' linears (the scheme), saved dense.

Its formats of weights alone: int4 in blocks of 128, int8 by channel; it may also leave a linear as it is. Its NVFP4 needs CUDA
("amax must be a CUDA tensor for dynamic block quantization", 0.47.0). Its scores are
gradients of its default method; the loss is that of the next token. One piece is enough to calibrate weights by their largest
values. The head is left out, as by everybody here, but ModelOpt counts it, with 16 bits; and it counts no scales of integers.
"""
import json

import peer_model

FORMATS = ["INT4_BLOCKWISE_WEIGHT_ONLY_CFG", "INT8_WEIGHT_ONLY_CFG"]


def written_bits(linear) -> float:
    """Bits a weight that a linear's codes and scales take: 16 a block or row."""
    quantizer = linear.weight_quantizer
    if not quantizer.is_enabled:
        return 16
    width = linear.weight.shape[1]
    block = (quantizer.block_sizes or {}).get(-1) or width
    return quantizer.num_bits + 16 * -(-width // block) / width


def main() -> None:
    args = peer_model.arguments(__doc__)
    import modelopt.torch.quantization as mtq
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    sizes = {name: module.weight.numel() for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    head = sizes.pop("lm_head")
    blocks = sum(sizes.values())
    effective = (float(args.scheme) * blocks + 16 * head) / (blocks + head)
    pieces = [piece[None] for piece in peer_model.calibration(args)]
    model, _ = mtq.auto_quantize(
        model, constraints={"effective_bits": effective}, quantization_formats=FORMATS, data_loader=pieces,
        forward_step=lambda model, ids: model(input_ids=ids, labels=ids), loss_func=lambda output, ids: output.loss,
        disabled_layers="*lm_head*", num_calib_steps=1, num_score_steps=len(pieces))
    linears = {name: module for name, module in model.named_modules() if ".layers." in name and hasattr(module, "weight_quantizer")}
    bits = {name: written_bits(linear) for name, linear in linears.items()}
    print(json.dumps(bits))
    weights = sum(linear.weight.numel() for linear in linears.values())
    mtq.fold_weight(model)
    peer_model.save_dense(model, args, {name: linear.weight for name, linear in linears.items()})
    peer_model.note(args, bits=sum(linear.weight.numel() * bits[name] for name, linear in linears.items()) / weights)


if __name__ == "__main__":
    main()
