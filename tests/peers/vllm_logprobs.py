"""Run by test_vllm.py in vLLM's own environment: log-probability of every prompt token for each checkpoint, in one process.

    vllm_logprobs.py IDS_JSON DIR...     one line a checkpoint on stdout: RESULT {"dir", "logprobs"} or {"dir", "error"}

vLLM looks embeddings in codes up as vllm_lookups.py says.
"""
import gc
import json
import os
import sys

os.environ.update(VLLM_CPU_KVCACHE_SPACE="1", VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_CPU_OMP_THREADS_BIND="nobind",
                  VLLM_LOGGING_LEVEL="WARNING", VLLM_NO_USAGE_STATS="1", HF_HUB_OFFLINE="1")

from vllm_lookups import interpret_lookups  # noqa: E402  (the settings above are read at import)

from vllm import LLM, SamplingParams  # noqa: E402


def logprobs(folder: str, ids: list[int]) -> list[float]:
    llm = LLM(folder, dtype="bfloat16", enforce_eager=True, max_model_len=256, max_num_seqs=1, max_num_batched_tokens=256,
              distributed_executor_backend="uni", skip_tokenizer_init=True, enable_prefix_caching=False)
    sampling = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0, detokenize=False)
    output = llm.generate([{"prompt_token_ids": ids}], sampling, use_tqdm=False)[0]
    return [next(iter(step.values())).logprob for step in output.prompt_logprobs[1:]]


def main() -> None:
    interpret_lookups()
    ids = json.loads(sys.argv[1])
    for folder in sys.argv[2:]:
        try:
            result = {"dir": folder, "logprobs": logprobs(folder, ids)}
        except Exception as error:  # one checkpoint that does not load must not hide the others
            result = {"dir": folder, "error": f"{type(error).__name__}: {error}"}
        gc.collect()
        print("RESULT " + json.dumps(result), flush=True)
    os._exit(0)  # the engine's own shutdown is slow


if __name__ == "__main__":
    main()
