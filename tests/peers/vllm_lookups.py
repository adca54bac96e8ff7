"""Run by test_vllm.py in vLLM's own environment: rows of a checkpoint's embedding, as vLLM's own layer looks them up.

    vllm_lookups.py DIR ROWS_JSON OUT.npy     OUT: (rows, hidden), f32

The layer is made from config.json as Llama's class makes it, without a name, and its loader fills it. vLLM's kernel is in Triton, which
has no CPU here: Triton's interpreter runs it. Its bf16 is cut off where a GPU rounds, so that the scales are widened and rows are f32.
"""
import importlib
import json
import os
import pathlib
import sys
import tempfile

os.environ.update(VLLM_LOGGING_LEVEL="ERROR", VLLM_NO_USAGE_STATS="1", HF_HUB_OFFLINE="1", TRITON_INTERPRET="1")

import numpy as np  # noqa: E402  (the settings above are read at import)
import torch  # noqa: E402
import triton  # noqa: E402
import triton.language  # noqa: E402
from safetensors import safe_open  # noqa: E402
from vllm import triton_utils  # noqa: E402
from vllm.config import VllmConfig, set_current_vllm_config  # noqa: E402
from vllm.distributed import ensure_model_parallel_initialized, init_distributed_environment  # noqa: E402
from vllm.model_executor.layers.quantization.compressed_tensors import compressed_tensors as ct  # noqa: E402
from vllm.model_executor.layers.quantization.compressed_tensors import compressed_tensors_embedding  # noqa: E402
from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding  # noqa: E402


def interpret_lookups() -> None:
    """vLLM's module once more, with Triton in place of what vLLM puts there where it finds none."""
    triton_utils.triton, triton_utils.tl = triton, triton.language
    importlib.reload(compressed_tensors_embedding)


def main() -> None:
    folder, rows, out = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
    config = json.loads((folder / "config.json").read_text())
    vllm = VllmConfig()
    with tempfile.TemporaryDirectory() as work, set_current_vllm_config(vllm):
        init_distributed_environment(1, 0, f"file://{work}/meeting", 0, "gloo")
        ensure_model_parallel_initialized(1, 1)
        quantization = ct.CompressedTensorsConfig.from_config(config["quantization_config"])
        layer = VocabParallelEmbedding(config["vocab_size"], config["hidden_size"], params_dtype=torch.bfloat16, quant_config=quantization)
        with safe_open(folder / "model.safetensors", "pt") as file:
            for name, parameter in layer.named_parameters():
                parameter.weight_loader(parameter, file.get_tensor(f"model.embed_tokens.{name}"))
        interpret_lookups()
        layer.weight_scale = torch.nn.Parameter(layer.weight_scale.data.float(), requires_grad=False)
        np.save(out, layer(torch.tensor(rows)).numpy())
    os._exit(0)


if __name__ == "__main__":
    main()
