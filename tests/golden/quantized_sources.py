"""Stores a tiny model's linears as quantized publications do, and gives the dense weights that they stand for.

Used by make_model_goldens.py alone. Each function takes one matrix of float32 and returns (tensors of the file by the ending of their
name, the float32 matrix that they decode to).
"""
import re

import torch
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

LINEAR = re.compile(r"layers\.\d+\..*(_proj|\.w[123])\.weight$")
TOWER = re.compile(r"vision|visual|projector")
FP8, LARGEST, BLOCK = torch.float8_e4m3fn, 448.0, 128


def fp8_blocks(matrix: torch.Tensor, scale_dtype: torch.dtype = torch.float32) -> tuple[dict, torch.Tensor]:
    """One scale for each 128 x 128 block, the last ones of a row or column smaller; weight = fp8 * weight_scale_inv."""
    rows, columns = (-(-n // BLOCK) for n in matrix.shape)
    scales = torch.empty(rows, columns)
    for r in range(rows):
        for c in range(columns):
            scales[r, c] = matrix[r * BLOCK:(r + 1) * BLOCK, c * BLOCK:(c + 1) * BLOCK].abs().max() / LARGEST
    scales = scales.to(scale_dtype)
    spread = scales.float().repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)[:matrix.shape[0], :matrix.shape[1]]
    packed = (matrix / spread).clamp(-LARGEST, LARGEST).to(FP8)
    return {"weight": packed, "weight_scale_inv": scales}, packed.float() * spread


def fp8_blocks_bf16(matrix: torch.Tensor) -> tuple[dict, torch.Tensor]:
    return fp8_blocks(matrix, torch.bfloat16)


def fp8_tensor(matrix: torch.Tensor) -> tuple[dict, torch.Tensor]:
    """One scale without dimensions for all of the matrix, and one for its input, which dense weights do not need."""
    scale = (matrix.abs().max() / LARGEST).bfloat16()
    packed = (matrix / scale.float()).clamp(-LARGEST, LARGEST).to(FP8)
    tensors = {"weight": packed, "weight_scale_inv": scale, "activation_scale": torch.tensor(0.05, dtype=torch.bfloat16)}
    return tensors, packed.float() * scale.float()


def fp8_channel(matrix: torch.Tensor) -> tuple[dict, torch.Tensor]:
    """compressed-tensors' float-quantized: one scale a row, [rows, 1]."""
    scale = (matrix.abs().amax(1, keepdim=True) / LARGEST).bfloat16()
    packed = (matrix / scale.float()).clamp(-LARGEST, LARGEST).to(FP8)
    return {"weight": packed, "weight_scale": scale}, packed.float() * scale.float()


def mxfp4(experts: torch.Tensor) -> tuple[dict, torch.Tensor]:
    """Random codes of the size of `experts` [experts, in, out], in groups of 32 along `in`; the file has them as [experts, out, in]."""
    count, inputs, outputs = experts.shape
    generator = torch.Generator().manual_seed(count * inputs + outputs)
    blocks = torch.randint(0, 256, (count, outputs, inputs // 32, 16), generator=generator, dtype=torch.uint8)
    # A code's mean square is 8.6, so 2^-4 makes the outputs as large as those of the other goldens.
    scales = torch.randint(122, 125, blocks.shape[:-1], generator=generator, dtype=torch.uint8)
    dense = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    return {"_blocks": blocks, "_scales": scales}, dense.contiguous()


SOURCES = {"fp8_blocks": fp8_blocks, "fp8_blocks_bf16": fp8_blocks_bf16, "fp8_tensor": fp8_tensor, "fp8_channel": fp8_channel}


def quantized(state: dict, source: str) -> tuple[dict, dict]:
    """(the tensors of the file, the dense ones they stand for); what the source does not quantize is in both."""
    stored, dense = {}, {}
    for name, tensor in state.items():
        if source == "mxfp4" and name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            tensors, dense[name] = mxfp4(tensor.float())
            stored |= {name + ending: t for ending, t in tensors.items()}
        elif source in SOURCES and LINEAR.search(name) and not TOWER.search(name):
            tensors, dense[name] = SOURCES[source](tensor.float())
            stored |= {name.removesuffix("weight") + ending: t for ending, t in tensors.items()}
        else:
            stored[name] = dense[name] = tensor
    return stored, dense
