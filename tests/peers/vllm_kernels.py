"""Run by test_vllm_kernels.py in vLLM's own environment: which kernel vLLM chooses for every codec, capability and number of parts.

    vllm_kernels.py QUESTIONS.json     one line on stdout for each model: RESULT {"model", "answers"}

QUESTIONS.json: {"models": [{"name", "hidden", "heads", "kv_heads", "head_dim", "ffn", "experts"}], "codecs", "capabilities", "parts"}.
"answers": [codec, capability, parts, group, kernel or null, why not], a group one of qkv, o, gate_up, down, experts, lm_head, embed.

This wheel of vLLM has no CUDA kernels, and none is run. What is stood in for: the platform says that it is CUDA and of a capability;
the number of parts and the part's rank are set in place of a process group's; and one question that vLLM asks its compiled
extension (whether CUTLASS has fp8) is answered. All else is vLLM's: the scheme that it makes of the configuration, the kernel that it
chooses, the parameters that its layers make, and the loaders that cut a checkpoint's tensors for each part. What was loaded is
compared with what a part should hold. Humming is the package that vLLM requires on CUDA, whose own schema checks what it is given.
"""
import json
import os
import sys
import tempfile
from unittest import mock

os.environ.update(VLLM_LOGGING_LEVEL="ERROR", VLLM_NO_USAGE_STATS="1", HF_HUB_OFFLINE="1", VLLM_CPU_OMP_THREADS_BIND="nobind")

import numpy as np  # noqa: E402
import numpy_reference as reference  # noqa: E402
import torch  # noqa: E402  (the settings above are read at import)
from vllm import _custom_ops as ops  # noqa: E402
from vllm.config import VllmConfig, set_current_vllm_config  # noqa: E402
from vllm.distributed import ensure_model_parallel_initialized, init_distributed_environment  # noqa: E402
from vllm.model_executor import parameter  # noqa: E402
from vllm.model_executor.layers import linear, vocab_parallel_embedding  # noqa: E402
from vllm.model_executor.layers.fused_moe.activation import MoEActivation  # noqa: E402
from vllm.model_executor.layers.fused_moe.config import FusedMoEConfig, FusedMoEParallelConfig, RoutingMethodType  # noqa: E402
from vllm.model_executor.layers.quantization.compressed_tensors import compressed_tensors as ct  # noqa: E402
from vllm.platforms import current_platform  # noqa: E402
from vllm.platforms.interface import DeviceCapability, PlatformEnum  # noqa: E402

TYPES = {"I32": "<i4", "I64": "<i8", "BF16": "<i2", "U8": "u1", "I8": "i1", "F8_E4M3": "u1", "F32": "<f4"}
VIEWS = {"BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn}


class Capability:
    """The platform as it would be on a GPU of this compute capability."""

    def __init__(self, number: int):
        self.found = DeviceCapability(number // 10, number % 10)

    def __enter__(self):
        platform = type(current_platform)
        self.patches = [mock.patch.object(platform, "_enum", PlatformEnum.CUDA),
                        mock.patch.object(platform, "get_device_capability", classmethod(lambda cls, device_id=0: self.found)),
                        mock.patch.object(ops, "cutlass_scaled_mm_supports_fp8", lambda capability: capability >= 89)]
        for patch in self.patches:
            patch.start()

    def __exit__(self, *_):
        for patch in reversed(self.patches):
            patch.stop()


class Part:
    """vLLM as the process of one of several ranks."""

    def __init__(self, rank: int, parts: int):
        self.patches = [mock.patch.object(module, f"get_tensor_model_parallel_{what}", lambda value=value: value)
                        for module in (linear, parameter, vocab_parallel_embedding)
                        for what, value in (("rank", rank), ("world_size", parts))]

    def __enter__(self):
        for patch in self.patches:
            patch.start()

    def __exit__(self, *_):
        for patch in reversed(self.patches):
            patch.stop()


def config_of(name: str) -> ct.CompressedTensorsConfig:
    codec = reference.parse_codec(name)
    form = "int-quantized" if name == "int8_w8a8" else min(codec.formats() - {"int-quantized", "naive-quantized"})
    scale = {"nvfp4": "torch.float8_e4m3fn", "mxfp4": "torch.uint8", "mxfp8": "torch.uint8"}.get(codec.family)
    token = {"num_bits": 8, "strategy": "token", "dynamic": True, "symmetric": True}
    block = {"type": "float", "strategy": "group", "group_size": 32, "dynamic": True, "symmetric": True, "scale_dtype": "torch.uint8"}
    inputs = {"int8_w8a8": {**token, "type": "int"}, "fp8_channel": {**token, "type": "float"},
              "fp8_block": {**token, "type": "float", "strategy": "group", "group_size": 128},
              "fp8_static": {**token, "type": "float", "strategy": "tensor", "dynamic": False},
              "nvfp4_a4": {**block, "num_bits": 4, "strategy": "tensor_group", "group_size": 16, "dynamic": "local",
                           "scale_dtype": "torch.float8_e4m3fn"},
              "mxfp4_a4": {**block, "num_bits": 4}, "mxfp8_a8": {**block, "num_bits": 8}}.get(name)
    weights = {**codec.weights_config(), "scale_dtype": scale}
    return ct.CompressedTensorsConfig.from_config(
        {"format": form, "ignore": [], "config_groups": {"group_0": {"targets": ["re:.*"], "format": form, "weights": weights,
                                                                    "input_activations": inputs}}})


def layer_of(group: str, model: dict, config: ct.CompressedTensorsConfig) -> torch.nn.Module:
    hidden, ffn, heads = model["hidden"], model["ffn"], (model["head_dim"], model["heads"], model["kv_heads"])
    options = {"quant_config": config, "params_dtype": torch.bfloat16, "prefix": f"model.layers.0.{group}"}
    match group:
        case "qkv":
            return linear.QKVParallelLinear(hidden, *heads, bias=False, **options)
        case "o":
            return linear.RowParallelLinear(model["heads"] * model["head_dim"], hidden, bias=False, **options)
        case "gate_up":
            return linear.MergedColumnParallelLinear(hidden, [ffn, ffn], bias=False, **options)
        case "down":
            return linear.RowParallelLinear(ffn, hidden, bias=False, **options)
    kind = vocab_parallel_embedding.VocabParallelEmbedding if group == "embed" else vocab_parallel_embedding.ParallelLMHead
    return kind(model["vocab"], hidden, **options)


def shards_of(group: str, model: dict) -> list[tuple]:
    """(shard that vLLM's loader is told, rows, columns, heads that the rows are) of a group's linears."""
    hidden, ffn, size = model["hidden"], model["ffn"], model["head_dim"]
    q, kv = model["heads"], model["kv_heads"]
    return {"qkv": [("q", q * size, hidden, q), ("k", kv * size, hidden, kv), ("v", kv * size, hidden, kv)],
            "o": [(None, hidden, q * size, 0)], "gate_up": [(0, ffn, hidden, 0), (1, ffn, hidden, 0)],
            "down": [(None, hidden, ffn, 0)], "lm_head": [(None, model["vocab"], hidden, 0)],
            "embed": [(None, model["vocab"], hidden, 0)]}[group]


def tensor(part: tuple[str, np.ndarray]) -> torch.Tensor:
    made = torch.from_numpy(np.ascontiguousarray(part[1]).view(TYPES[part[0]]))
    return made.view(VIEWS[part[0]]) if part[0] in VIEWS else made


def values_of(parts: dict[str, torch.Tensor], codec: reference.Codec, cols: int) -> np.ndarray:
    """A part's weights, from the tensors that vLLM has filled."""
    named = {torch.int32: "I32", torch.bfloat16: "BF16", torch.uint8: "U8", torch.int8: "I8", torch.float8_e4m3fn: "F8_E4M3",
             torch.float32: "F32"}
    held = {}
    for name, value in parts.items():
        raw = value.view(torch.int16) if value.dtype == torch.bfloat16 else value
        raw = raw.view(torch.uint8) if raw.dtype == torch.float8_e4m3fn else raw
        array = raw.numpy()
        held[name] = (named[value.dtype], array.view("<u2") if value.dtype == torch.bfloat16 else array)
        if name == "weight_scale" and value.dtype == torch.float32:  # vLLM widens the bf16 scales of some schemes
            held[name] = ("BF16", reference.to_bf16(array))
    held["weight_shape"] = ("I64", np.array([0, cols]))
    return reference.decode(held, codec)


def check_loading(group: str, model: dict, name: str, parts: int) -> None:
    """Loads made-up tensors as every rank would, and compares with what the rank should hold. Raises what goes wrong."""
    codec, rng = reference.parse_codec(name), np.random.default_rng(1)
    shards = shards_of(group, model)
    whole = [rng.standard_normal((rows, cols)).astype(np.float32) for _, rows, cols, _ in shards]
    divisor = reference.shared_scale(codec, whole)
    form = "int-quantized" if name == "int8_w8a8" else min(codec.formats() - {"int-quantized", "naive-quantized"})
    stored = [reference.encode(w, codec, form, divisor) for w in whole]
    for rank in range(parts):
        with Part(rank, parts):
            layer = layer_of(group, model, config_of(name))
            loaded = dict(layer.named_parameters())
            for (shard, *_), tensors in zip(shards, stored):
                for suffix, part in tensors.items():
                    loader = loaded[suffix].weight_loader
                    loader(loaded[suffix], tensor(part), *([] if shard is None else [shard]))
        check_part(layer, group, shards, stored, codec, rank, parts)


def check_part(layer, group, shards, stored, codec, rank, parts) -> None:
    expected = []
    for (_, rows, cols, heads), tensors in zip(shards, stored):
        weights = reference.decode(tensors, codec)
        if group in ("lm_head", "embed"):  # vLLM fills it up to a multiple of 64 rows, with zeros
            weights = np.pad(weights, ((0, -rows % 64), (0, 0)))
            rows = len(weights)
        if group in ("o", "down"):
            expected.append(weights[:, rank * (cols // parts):(rank + 1) * (cols // parts)])
            continue
        copies = max(parts // heads, 1) if heads else 1
        share = rows // (parts // copies)
        expected.append(weights[rank // copies * share:(rank // copies + 1) * share])
    want = np.concatenate(expected)
    held = {name: value.data for name, value in layer.named_parameters() if name.startswith("weight") and name != "weight_shape"}
    if "weight_global_scale" in held:  # one for each linear of a fused layer, all alike
        held["weight_global_scale"] = held["weight_global_scale"][:1]
    words = held.get("weight_packed")
    if codec.family == "int" and words is not None:
        assert words.shape == (len(want), want.shape[1] * codec.bits // 32), "a row of codes does not fill its words"
    got = values_of(held, codec, want.shape[1])
    assert got.shape == want.shape and np.array_equal(got, want, equal_nan=True), "a part holds other weights than it should"


def kernel_of(layer: torch.nn.Module) -> str:
    scheme = getattr(layer, "scheme", layer.quant_method)  # an embedding has a method alone
    found = [type(value).__name__ for value in vars(scheme).values() if type(value).__name__.endswith("Kernel")]
    return (found or [type(scheme).__name__])[0].replace("LinearKernel", "")


def experts_kernel(model: dict, name: str, parts: int) -> str:
    """The backend that vLLM chooses; the parameters that it makes must hold the whole of every part."""
    codec, hidden, size = reference.parse_codec(name), model["hidden"], model["ffn"] // parts
    single = FusedMoEParallelConfig.make_no_parallel()
    single.tp_size = parts
    layer = torch.nn.Module()
    layer.moe_config = FusedMoEConfig(
        num_experts=4, experts_per_token=2, hidden_dim=hidden, intermediate_size=model["ffn"], num_local_experts=4,
        num_logical_experts=4, activation=MoEActivation.SILU, device="cpu", routing_method=RoutingMethodType.Renormalize,
        moe_parallel_config=single, in_dtype=torch.bfloat16)
    layer.ckpt_gate_proj_name, layer.ckpt_up_proj_name, layer.ckpt_down_proj_name = "gate_proj", "up_proj", "down_proj"
    method = ct.CompressedTensorsMoEMethod.get_moe_method(config_of(name), layer, "model.layers.0.mlp.experts")
    method.create_weights(layer, num_experts=4, hidden_size=hidden, intermediate_size_per_partition=size,
                          params_dtype=torch.bfloat16, weight_loader=lambda *_: None)
    made = {name: tuple(value.shape) for name, value in layer.named_parameters()}
    for which, cols in (("w13", hidden), ("w2", size)):
        assert not codec.group_size or made[f"{which}_weight_scale"][-1] * codec.group_size == cols, "a group is in two parts"
    if codec.family == "int":
        for which, rows, cols in (("w13", 2 * size, hidden), ("w2", hidden, size)):
            assert made[f"{which}_weight_packed"][2] * 32 == cols * codec.bits, "a row of codes does not fill its words"
            if not codec.symmetric:  # gate and up are cut, each, between two words
                each = size if which == "w13" else rows
                assert each * codec.bits % 32 == 0, "zero points of a part end within a word"
                assert made[f"{which}_weight_zero_point"][1] * 32 == rows * codec.bits
    backends = [value.value for key, value in vars(method).items() if key.endswith("_backend") and hasattr(value, "value")]
    return (backends or [type(method).__name__])[0]


def answers(questions: dict, model: dict):
    groups = ["experts"] if model.get("experts") else ["qkv", "o", "gate_up", "down", "lm_head", "embed"]
    for name in questions["codecs"]:
        for parts in questions["parts"]:
            loads: dict[str, str] = {}
            for capability in questions["capabilities"]:
                with Capability(capability):
                    for group in groups:
                        try:
                            if group == "experts":
                                yield name, capability, parts, group, experts_kernel(model, name, parts), ""
                                continue
                            with Part(0, parts):
                                kernel = kernel_of(layer_of(group, model, config_of(name)))
                            if group not in loads:
                                try:
                                    check_loading(group, model, name, parts)
                                    loads[group] = ""
                                except Exception as error:  # any: vLLM would not serve the model
                                    loads[group] = f"{type(error).__name__}: {error}"
                            yield name, capability, parts, group, None if loads[group] else kernel, loads[group]
                        except Exception as error:  # as above
                            yield name, capability, parts, group, None, f"{type(error).__name__}: {error}"[:300]


def main() -> None:
    questions = json.loads(open(sys.argv[1]).read())
    config = VllmConfig()
    with tempfile.TemporaryDirectory() as work, set_current_vllm_config(config):
        init_distributed_environment(1, 0, f"file://{work}/meeting", 0, "gloo")
        ensure_model_parallel_initialized(1, 1)
    config.model_config = mock.Mock(dtype=torch.bfloat16)
    with set_current_vllm_config(config):
        for model in questions["models"]:
            print("RESULT " + json.dumps({"model": model["name"], "answers": list(answers(questions, model))}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
