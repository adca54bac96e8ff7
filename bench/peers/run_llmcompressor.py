"""llm-compressor: round to nearest (FP8, NVFP4A16, ...) or GPTQ, saved as the checkpoint it writes for vLLM.

Schemes: fp8 | nvfp4 | gptq:int4_g64 | gptq:int3_g64 | gptq:int2_g32
"""
import re

import peer_model


def main() -> None:
    args = peer_model.arguments(__doc__)
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import GPTQModifier, QuantizationModifier
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(args.model, dtype="auto")
    common = {"ignore": ["lm_head"]}
    options = {}
    if match := re.fullmatch(r"gptq:int(\d)_g(\d+)", args.scheme):
        weights = QuantizationArgs(num_bits=int(match[1]), type="int", symmetric=True, strategy="group", group_size=int(match[2]))
        recipe = GPTQModifier(config_groups={"linears": QuantizationScheme(targets=["Linear"], weights=weights)}, **common)
        ids = peer_model.calibration(args)
        options = {"dataset": Dataset.from_dict({"input_ids": ids.tolist(), "attention_mask": (ids * 0 + 1).tolist()}),
                   "num_calibration_samples": len(ids), "max_seq_length": args.seq_len, "shuffle_calibration_samples": False}
    else:
        name = {"fp8": "FP8_DYNAMIC", "nvfp4": "NVFP4A16", "mxfp4": "MXFP4A16"}[args.scheme]
        recipe = QuantizationModifier(targets="Linear", scheme=name, **common)
    oneshot(model=model, recipe=recipe, **options)
    model.save_pretrained(args.out, save_compressed=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (args.out / name).write_bytes((args.model / name).read_bytes())


if __name__ == "__main__":
    main()
