#!/usr/bin/env python3
"""Reads an exported recipe with the tool it is for, and prints what the tool would do with every linear.

usage: recipes.py llm-compressor|auto-round|gptqmodel RECIPE MODEL
Runs in build/venv-hf with the packages of build/venv-recipes on PYTHONPATH. Output: {module: [type, bits, group size]}, group size -1
for a whole row, bits 16 for what is left alone. Data sets and compiled kernels, which no parser calls, are stood in for.
"""
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import pathlib
import sys
import types


class StandIn(types.ModuleType):
    __path__: list[str] = []

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives every module below `datasets`, which is not installed here."""

    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] == "datasets" else None

    def create_module(self, spec):
        return StandIn(spec.name)

    def exec_module(self, module):
        pass


def empty_model(folder: str):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))


def linears(model) -> list[str]:
    import torch
    return [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]


def llm_compressor(recipe: str, folder: str) -> dict:
    from compressed_tensors.quantization import apply_quantization_config
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.recipe import Recipe
    modifiers = Recipe.create_instance(recipe).modifiers
    assert len(modifiers) == 1 and isinstance(modifiers[0], QuantizationModifier), modifiers
    model = empty_model(folder)
    apply_quantization_config(model, modifiers[0].resolved_config)
    result = {}
    for name in linears(model):
        scheme = getattr(model.get_submodule(name), "quantization_scheme", None)
        weights = scheme and scheme.weights
        result[name] = [weights.type, weights.num_bits, weights.group_size or -1] if weights else ["keep", 16, -1]
    return result


def auto_round(recipe: str, folder: str) -> dict:
    from auto_round.compressors.config_resolution.resolve import resolve_scheme_value
    from auto_round.compressors.layer_config_resolver import resolve_layer_config
    given = json.loads(pathlib.Path(recipe).read_text())
    model = empty_model(folder)
    resolved = resolve_layer_config(model=model, scheme=resolve_scheme_value(given["scheme"], {}), layer_config=given["layer_config"])
    result = {}
    for name in linears(model):
        config = resolved.get(name, {"bits": 16})
        kept = config["bits"] == 16
        result[name] = ["keep", 16, -1] if kept else [config["data_type"], config["bits"], config["group_size"]]
    return result


def gptqmodel(recipe: str, folder: str) -> dict:
    # The package's own __init__ loads compiled kernels; its configuration needs none of them.
    root = pathlib.Path(importlib.util.find_spec("gptqmodel").submodule_search_locations[0])
    for name, path in [("gptqmodel", root), ("gptqmodel.quantization", root / "quantization")]:
        package = types.ModuleType(name)
        package.__path__ = [str(path)]
        sys.modules[name] = package
    from gptqmodel.quantization.config import QuantizeConfig
    config = QuantizeConfig(**json.loads(pathlib.Path(recipe).read_text()))
    result = {}
    for name in linears(empty_model(folder)):
        skipped = config.dynamic_get(name) is False or (name == "lm_head" and not config.lm_head)
        result[name] = ["keep", 16, -1] if skipped else ["int", config.dynamic_get(name, "bits", config.bits),
                                                         config.dynamic_get(name, "group_size", config.group_size)]
    return result


def main() -> None:
    tool, recipe, folder = sys.argv[1:]
    sys.meta_path.append(Finder())
    with contextlib.redirect_stdout(sys.stderr):
        result = {"llm-compressor": llm_compressor, "auto-round": auto_round, "gptqmodel": gptqmodel}[tool](recipe, folder)
    print(json.dumps(result, default=str))


if __name__ == "__main__":
    main()
