"""Run by test_families.py in vLLM's own environment: what its model class makes of each checkpoint, without running it.

    vllm_modules.py DIR...     one line a checkpoint on stdout: RESULT {"dir", "class", "packed", "missing", "bits", "embedding"} or
                               {"dir", "error"}

"packed": the class's fused modules, "missing": parameters that no tensor of the checkpoint has filled, "bits": module -> how wide its
codes are, null where it is not quantized, "embedding": the name under which the embedding asks for its codec, null where it does not.
"""
import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Hashable, Iterable

os.environ.update(VLLM_CPU_KVCACHE_SPACE="1", VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_CPU_OMP_THREADS_BIND="nobind",
                  VLLM_LOGGING_LEVEL="ERROR", VLLM_NO_USAGE_STATS="1", HF_HUB_OFFLINE="1")

import torch  # noqa: E402  (the settings above are read at import)
from vllm.config import set_current_vllm_config  # noqa: E402
from vllm.distributed import ensure_model_parallel_initialized, init_distributed_environment  # noqa: E402
from vllm.engine.arg_utils import EngineArgs  # noqa: E402
from vllm.model_executor.layers.fused_moe.oracle.int_wna16 import WNA16MoEBackend  # noqa: E402
from vllm.model_executor.layers.quantization.compressed_tensors import compressed_tensors as ct  # noqa: E402
from vllm.model_executor.layers.quantization.compressed_tensors.compressed_tensors_moe import (  # noqa: E402
    compressed_tensors_moe_wna16 as experts)
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead, VocabParallelEmbedding  # noqa: E402
from vllm.model_executor.model_loader import get_model_loader  # noqa: E402
from vllm.model_executor.model_loader.utils import initialize_model  # noqa: E402
from vllm.model_executor.models import registry  # noqa: E402


asked: list[str] = []  #: the names under which embeddings have asked for their codecs


def note_embeddings() -> None:
    method = ct.CompressedTensorsConfig.get_quant_method

    def noting(self, layer: torch.nn.Module, prefix: str):
        if isinstance(layer, VocabParallelEmbedding) and not isinstance(layer, ParallelLMHead):
            asked.append(prefix)
        return method(self, layer, prefix)

    ct.CompressedTensorsConfig.get_quant_method = noting


def bits_of(module: torch.nn.Module) -> int | None:
    """From the tensors that the module's method made, whatever the scheme: a packed word holds 32 bits."""
    shapes = {name: p for name, p in module.named_parameters(recurse=False)}
    if any(name.endswith("weight_packed") for name in shapes):
        return 4
    weight = next((p for name, p in shapes.items() if name in ("weight", "w13_weight")), None)
    return 8 if weight is not None and weight.dtype in (torch.int8, torch.float8_e4m3fn) else None


def names_of(found: Iterable[tuple[str, Hashable]]) -> dict[Hashable, list[str]]:
    """Thing -> its names: what a model holds in two places has two, of which load_weights reports one and config.json has the shorter."""
    names: dict[Hashable, list[str]] = {}
    for name, thing in found:
        names.setdefault(thing, []).append(name)
    return names


def modules_of(folder: str, meeting_point: str) -> dict:
    config = EngineArgs(model=folder, dtype="bfloat16", enforce_eager=True, max_model_len=64, max_num_seqs=1,
                        max_num_batched_tokens=64, skip_tokenizer_init=True).create_engine_config()
    with set_current_vllm_config(config):
        init_distributed_environment(1, 0, f"file://{meeting_point}", 0, "gloo")
        ensure_model_parallel_initialized(1, 1)
        torch.set_default_dtype(torch.bfloat16)
        asked.clear()
        model = initialize_model(vllm_config=config, model_config=config.model_config)
        torch.set_default_dtype(torch.float32)
        weights = get_model_loader(config.load_config).get_all_weights(config.model_config, model)
        loaded = model.load_weights(weights)
    parameters = names_of(model.named_parameters(remove_duplicate=False))
    missing = [min(names, key=len) for names in parameters.values() if loaded.isdisjoint(names)]
    # Caches have scales of their own, which no checkpoint here fills.
    missing = sorted(name for name in missing if ".attn." not in name or "_proj." in name)
    modules = names_of((name, m) for name, m in model.named_modules(remove_duplicate=False) if getattr(m, "quant_method", None) is not None)
    methods = {min(names, key=len): bits_of(module) for module, names in modules.items()}
    # Kimi K2.5's wrapper leaves it to its text model.
    packs = model if hasattr(model, "packed_modules_mapping") else getattr(model, "language_model", model)
    return {"class": type(model).__name__, "packed": getattr(packs, "packed_modules_mapping", {}), "missing": missing,
            "embedding": asked[0] if asked else None, "bits": {name: bits for name, bits in methods.items() if not name.endswith(".attn")}}


def main() -> None:
    # vLLM would look at each class in a process of its own, which imports everything again.
    registry._LazyRegisteredModel.inspect_model_cls = lambda self: registry._ModelInfo.from_model_cls(self.load_model_cls())

    # The group of experts is made for the first model only, so that it must have some.
    def is_dense(folder: str) -> bool:
        return "experts" not in pathlib.Path(folder, "config.json").read_text()

    note_embeddings()
    # Experts' parameters are made and filled without a kernel, which this CPU may not have.
    experts.select_wna16_moe_backend = lambda **_: (WNA16MoEBackend.TRITON, None)

    with tempfile.TemporaryDirectory() as work:
        for folder in sorted(sys.argv[1:], key=is_dense):
            try:
                result = {"dir": folder, **modules_of(folder, f"{work}/meeting")}
            except Exception as error:  # one checkpoint that does not load must not hide the others
                result = {"dir": folder, "error": f"{type(error).__name__}: {error}"}
            print("RESULT " + json.dumps(result), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
