"""Every family and wrapper of tests/golden/models, quantized: transformers loads it with the class that config.json names and computes
the logits of the same weights stored plainly; the class that vLLM takes, its own or one around transformers' modules, fills all of its
parameters and quantizes what the plan does.
"""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile

import numpy as np
import numpy_reference as reference
import pytest
import torch
import transformers
from conftest import ROOT, need

GOLDENS = ROOT / "tests/golden/models"
MODELS = sorted(path.name for path in GOLDENS.iterdir() if (path / "config.json").exists())
TOWER = re.compile(r"vision|visual|projector")


def has_experts(name: str) -> bool:
    """Some configurations say that there are none."""
    return re.search(r'experts\w*": [1-9]', (GOLDENS / name / "config.json").read_text()) is not None


def mixed(name: str, others: str, experts: str = "") -> tuple[str, ...]:
    """Arguments for a plan of int4_g32 with another codec of o_proj (out_proj) and, if there are any, of the experts."""
    experts_too = ("--assign", f"experts={experts}") if experts and has_experts(name) else ()
    return ("--preset", "uniform:int4_g32", "--assign", rf"\.o(ut)?_proj$|att(entio)?n\.(dense|c_proj)$={others}", *experts_too, "--scale", "minmax")


#: transformers holds these families' experts as stacks and unpacks none, so that strata does not offer codes for them.
STACKS_FAMILIES = ("gpt_oss", "qwen3_vl_moe", "mistral4", "mistral3_mistral4", "granitemoe", "gemma4_text_moe")
STACKS_ONLY = tuple(name for name in MODELS if name.startswith(STACKS_FAMILIES) and has_experts(name))
#: Models whose experts lie in stacks.
STACKED = [name for name in MODELS if name in STACKS_ONLY or name.startswith("llama4") or name.endswith("_packed")]
KEEP_EXPERTS = r"\.experts\."


#: Model -> keys of config.json that transformers wants otherwise: published files bring code of their own, or have a class of vLLM's.
RUN_AS = {"kimi_k2": {"model_type": "deepseek_v3"}, "kimi_k25": {"architectures": ["Kimi_K25ForConditionalGeneration"]}}


def load(folder):
    """The model in bf16, by the class that its config.json names or, where transformers has none of that name, by the one that it
    uses instead; every tensor must have found its place."""
    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] in RUN_AS:
        copy = pathlib.Path(tempfile.mkdtemp(dir=folder.parent))
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        config |= RUN_AS[config["model_type"]]
        (copy / "config.json").write_text(json.dumps(config))
        folder = copy
    name = config["architectures"][0]
    kind = getattr(transformers, name, transformers.AutoModelForCausalLM)
    # Grouped products of bf16 want rows of multiples of 16 bytes, which those of Nemotron's narrow experts are not.
    narrow = {"experts_implementation": "eager"} if "moe_latent_size" in (folder / "config.json").read_text() else {}
    model, info = kind.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="eager", output_loading_info=True, **narrow)
    wrong = {k: sorted(map(str, info[k])) for k in ("missing_keys", "unexpected_keys", "mismatched_keys") if info.get(k)}
    assert not wrong, wrong
    return model.eval()


def stack_experts(folder, out):
    """Llama 4's class for dense weights wants each block's experts as (experts, in, out), gate before up."""
    tensors = reference.read_folder(folder)
    modules = {m[1] for name in tensors if (m := re.fullmatch(r"(.*feed_forward\.experts)\.0\.gate_proj\.weight", name))}
    for module in modules:
        count = len([name for name in tensors if re.fullmatch(re.escape(module) + r"\.\d+\.gate_proj\.weight", name)])
        take = {leaf: [tensors.pop(f"{module}.{i}.{leaf}_proj.weight")[1].T for i in range(count)] for leaf in ("gate", "up", "down")}
        tensors[f"{module}.gate_up_proj"] = ("BF16", np.stack([np.hstack(pair) for pair in zip(take["gate"], take["up"])]))
        tensors[f"{module}.down_proj"] = ("BF16", np.stack(take["down"]))
    reference.write_folder(out, tensors, json.loads((folder / "config.json").read_text()))
    return out


#: Model -> why transformers 5.23 does not load its linears with codes.
NOT_IN_TRANSFORMERS = {
    **dict.fromkeys(("mamba", "mamba_bias", "falcon_mamba", "mamba2"),
                    "its class gives out_proj.weight first values although out_proj has codes"),
    **dict.fromkeys(("falcon", "falcon_new", "falcon_serial"), "its linears, of a class of their own, multiply by .weight themselves"),
    **dict.fromkeys(("exaone", "internlm2", "mimo", "minicpm"), "it has no class for it: the model's repository brings one"),
    **dict.fromkeys(("gpt_bigcode", "gpt_bigcode_heads"), "its class gives c_proj.weight first values although c_proj has codes"),
    **dict.fromkeys(("olmo_hybrid", "olmo_hybrid_rope"), "beside codes, its joining of the convolutions of q, k and v finds none of them"),
    "nanochat": "its class gives o_proj.weight first values although o_proj has codes",
    **dict.fromkeys(("hy_v3", "laguna", "laguna_element"),
                    "its modules of the shared expert have another name than its files, which say what has codes"),
    **dict.fromkeys(("lfm3", "lfm3_defaults"), "its gates have another name than in its files, which say what has codes"),
    **dict.fromkeys(("gpt2", "gpt2_published"), "its linears, of a class of their own, hold (in, out) and multiply by .weight themselves"),
}


@pytest.mark.parametrize("name", [name for name in MODELS if name not in STACKS_ONLY and name not in NOT_IN_TRANSFORMERS])
def test_transformers(strata, tmp_path, name):
    out = strata.checkpoint(GOLDENS / name, *mixed(name, "int8_channel", "int8_channel"), "--for", "transformers")
    reference.write_dense(out, tmp_path / "dense")
    dense = stack_experts(tmp_path / "dense", tmp_path / "stacked") if name.startswith("llama4") else tmp_path / "dense"
    ids = torch.arange(3, 60)[None]
    with torch.no_grad():
        expected, got = (load(folder)(input_ids=ids).logits for folder in (dense, out))
    assert torch.equal(expected, got)


#: Model -> what is kept of it for transformers to load the codes of the others. Falcon's Mamba rounds steps otherwise beside any codes.
KEPT = {**dict.fromkeys(("mamba", "mamba_bias"), "out_proj|dt_proj"), **dict.fromkeys(("laguna", "laguna_element"), "shared_expert"),
        **dict.fromkeys(("lfm3", "lfm3_defaults"), "gate_proj")}


@pytest.mark.parametrize("name", KEPT)
def test_transformers_loads_codes_beside_what_its_class_reads_or_names_otherwise(strata, tmp_path, name):
    out = strata.checkpoint(GOLDENS / name, "--preset", "uniform:int8_channel", "--scale", "minmax", "--keep", KEPT[name],
                            "--for", "transformers")
    reference.write_dense(out, tmp_path / "dense")
    ids = torch.arange(3, 60)[None]
    with torch.no_grad():
        expected, got = (load(folder)(input_ids=ids).logits for folder in (tmp_path / "dense", out))
    assert torch.equal(expected, got)


def keep_experts(strata, name, target, others="int8_channel"):
    return strata.checkpoint(GOLDENS / name, *mixed(name, others), "--keep", KEEP_EXPERTS, "--for", target)


@pytest.mark.parametrize("name", STACKS_ONLY)
def test_transformers_loads_kept_stacks_beside_codes(strata, tmp_path, name):
    out = keep_experts(strata, name, "transformers")
    reference.write_dense(out, tmp_path / "dense")
    ids = torch.arange(3, 60)[None]
    with torch.no_grad():
        expected, got = (load(folder)(input_ids=ids).logits for folder in (tmp_path / "dense", out))
    assert torch.equal(expected, got)


@pytest.mark.parametrize("name", STACKED)
def test_transformers_loads_a_dense_folder_as_it_loads_the_source(strata, tmp_path, name):
    strata.run("convert", GOLDENS / name, "-o", tmp_path / "out")
    ids = torch.arange(3, 60)[None]
    with torch.no_grad():
        expected, got = (load(folder)(input_ids=ids).logits for folder in (GOLDENS / name, tmp_path / "out"))
    assert torch.equal(expected, got)


@pytest.mark.parametrize("name", [name for name in MODELS if "vision_config" in (GOLDENS / name / "config.json").read_text()])
def test_what_belongs_to_no_text_model_is_carried(strata, name):
    out = strata.checkpoint(GOLDENS / name, *mixed(name, "int8_channel", "int8_channel"), "--for", "vllm:marlin")
    source, written = reference.read_folder(GOLDENS / name), reference.read_folder(out)
    tower = [tensor for tensor in source if TOWER.search(tensor)]
    assert len(tower) > 10
    for tensor in tower:
        assert written[tensor][0] == source[tensor][0] and written[tensor][1].tobytes() == source[tensor][1].tobytes(), tensor
    ignore = json.loads((out / "config.json").read_text())["quantization_config"]["ignore"]
    patterns = [entry[3:] for entry in ignore if entry.startswith("re:")]
    assert all(any(re.match(p, tensor) for p in patterns) for tensor in tower)


def for_vllm(strata, name):
    if name.startswith("gpt_oss"):  # vLLM too holds experts that have biases as stacks
        return keep_experts(strata, name, "vllm:cpu", "int8_w8a8")
    return strata.checkpoint(GOLDENS / name, *mixed(name, "int8_w8a8"), "--for", "vllm:cpu")


#: Model -> why vLLM 0.32 on a CPU does not load it, whatever its configuration says.
NOT_IN_VLLM = {
    "bamba": "it has no class for it any more, and transformers' own does not attend in every block",
    **dict.fromkeys(("mamba", "mamba_bias", "falcon_mamba"), "its Mamba-1 holds every linear dense: it takes no quantization"),
    **dict.fromkeys(("aya_vision", "qwen2_5_omni", "qwen3_omni_moe"),
                    "it makes the model's processor before the model, and these tiny folders have none"),
    **dict.fromkeys(("llava", "llava_next", "paligemma"),
                    "its classes know the names of published towers (vision_tower.vision_model), not those that transformers 5 saves"),
    "falcon_serial": "its class takes four times the hidden size for the feed-forward part, whatever config.json says",
    "lfm2_vl": "its class of the wrapper reads a convolution's in_proj as a tensor, which a module with codes is not",
    "gemma4_unified_text": "run by transformers' modules, which do not fuse q and k of a block without v: k has 16 rows, fewer than 32",
    "glm_moe_dsa": "attention chosen by an indexer runs on no CPU there",
    **dict.fromkeys(("gpt2", "gpt2_published"), "it turns codes of 8 bits around, which this plan has: codes of 4 bits are a test of their own"),
    **dict.fromkeys(("olmo_hybrid", "olmo_hybrid_rope"), "the rows of these tiny models are no multiple of 32, which its kernel for CPUs asks for"),
    **dict.fromkeys(("gptj",), "its loader does not find the parts of codes of q, k and v"),
    **dict.fromkeys(("bloom", "bloom_heads"), "its loader moves the rows of q, k and v in every tensor of theirs, the shape of codes too"),
    **dict.fromkeys(("gpt_neo", "mpt", "mpt_clip"), "it has no class for it"),
    **dict.fromkeys(("exaone", "internlm2", "internlm3", "iquestcoder", "mimo", "minicpm"),
                    "its transformers does not read such a config.json without the code of the model's repository"),
    **dict.fromkeys(("lfm3", "lfm3_defaults"), "it has no class for it, and its transformers does not know it"),
    "llama4_text_step2": "biases of q, k and v, which vLLM's class does not have",
    "minimax_m2_fp8": "experts of 136 columns stay dense, and there is no kernel for dense experts of such a size",
    "mistral3_mistral4": "it has no class for Mistral 4, and takes one for the text of Mistral 3 by its name only",
    "nemotron_h_latent": "experts without a gate: GPUs only",
    "nemotron_h_moe": "experts without a gate: GPUs only",
    "stablelm": "its class does not say which modules it joins, so that it takes no quantized file",
    "qwen3_moe_sparse": "its class joins gate and up of a dense block, but says so too late for their codes to be expected",
}
VLLM_MODELS = [name for name in MODELS if name not in NOT_IN_VLLM]
#: Model -> how tensors end that vLLM 0.32 leaves as they are, whatever the file has of them.
UNREAD = dict.fromkeys(("laguna", "laguna_element"), ".e_score_correction_bias")
#: Models whose embedding stays dense although their class in vLLM asks for its codec -> why.
DENSE_EMBEDDING = {
    "exaone_moe": "a head that was tied to it would have codes too, and its class tells no name of it",
    **dict.fromkeys(("gpt_neox", "gpt_neox_serial"), "the same; transformers' modules call the head otherwise than its files"),
    **dict.fromkeys(("nemotron_h", "vaultgemma"), "its class asks, and then holds a dense embedding"),
}


def missing(name: str, result: dict) -> list[str]:
    return [tensor for tensor in result["missing"] if name not in UNREAD or not tensor.endswith(UNREAD[name])]


def vllm_modules(checkpoints: dict[str, pathlib.Path]) -> dict[str, dict]:
    """Model -> what vLLM's class made of its checkpoint; one process for all, since its import takes half a minute."""
    python = need(ROOT / "build/venv-vllm/bin/python", "scripts/make_venv.sh vllm makes it")
    folders = {str(folder): name for name, folder in checkpoints.items()}
    run = subprocess.run([python, ROOT / "tests/peers/vllm_modules.py", *folders], capture_output=True, text=True)
    lines = [json.loads(line[7:]) for line in run.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, run.stderr[-3000:]
    return {folders[line["dir"]]: line for line in lines}


@pytest.fixture(scope="module")
def modules(strata) -> dict[str, dict]:
    return vllm_modules({name: for_vllm(strata, name) for name in VLLM_MODELS})


def test_vllm_loads_gpt2_in_codes_of_four_bits(strata):
    """vLLM turns what is called .weight around, which codes of 4 bits are not; codes of 8 bits are refused."""
    out = strata.checkpoint(GOLDENS / "gpt2", "--preset", "uniform:int4_g32", "--scale", "minmax", "--for", "vllm:cpu")
    result = vllm_modules({"gpt2": out})["gpt2"]
    assert "error" not in result and not result["missing"], result
    assert {bits for module, bits in result["bits"].items() if ".h." in module} == {4}


#: A part of the names of vLLM's modules -> what files call it.
MODULES = {".attn.": ".self_attn.", ".short_conv.": ".conv."}


def within(module: str) -> str:
    """A module's name from its blocks on. Names before that are each runtime's own."""
    module = re.sub("|".join(map(re.escape, MODULES)), lambda found: MODULES[found[0]], module)
    found = re.search(r"\b(?:layers|h)\.(?!.*\blayers\.).*", module)
    return found[0] if found else module


def planned_bits(out) -> dict[str, int]:
    """Module, from its blocks on, -> bits of its codec."""
    return {within(module): group["weights"]["num_bits"] for module, group in reference.groups_of(out).items()}


@pytest.mark.parametrize("name", VLLM_MODELS)
def test_vllm(strata, modules, name):
    assert name in modules, "vLLM's process ended before this checkpoint"
    result = modules[name]
    assert "error" not in result, result["error"]
    assert not missing(name, result)
    planned, seen = planned_bits(for_vllm(strata, name)), set()
    for module, bits in result["bits"].items():
        parent, _, leaf = within(module).rpartition(".")
        if TOWER.search(module):
            assert bits is None, module
            continue
        if leaf == "routed_experts":
            parts = {m for m in planned if m.startswith(parent + ".") and re.match(r"\d+\.", m[len(parent) + 1:])}
        else:
            fused = [leaf] if f"{parent}.{leaf}" in planned else result["packed"].get(leaf, [leaf])
            parts = {f"{parent}.{part}" if parent else part for part in fused}
        expected = {planned.get(part) for part in parts} or {None}
        assert expected == {bits}, (module, expected, bits)
        seen |= parts
    assert set(planned) <= seen, "planned, but no module of vLLM's"


#: What is planned with an embedding in codes and all blocks kept.
CODED_EMBEDDING = ("--preset", "uniform:int4_channel", "--keep", r"\.\d+\.", "--embed-codec", "int4_channel", "--for", "vllm")


def has_coded_embedding(strata, name: str) -> bool:
    """Whether strata offers it."""
    run = subprocess.run([strata.binary, "plan", GOLDENS / name, *CODED_EMBEDDING], capture_output=True, text=True)
    assert run.returncode == 0 or "keeps the embedding" in run.stderr, run.stderr
    return run.returncode == 0


@pytest.mark.parametrize("name", VLLM_MODELS)
def test_embeddings_have_codes_where_vllm_asks_for_them(strata, modules, name):
    asks = modules[name]["embedding"] is not None
    assert has_coded_embedding(strata, name) == (asks and name not in DENSE_EMBEDDING)


@pytest.fixture(scope="module")
def coded(strata) -> dict[str, dict]:
    names = [name for name in VLLM_MODELS if has_coded_embedding(strata, name)]
    return vllm_modules({name: strata.checkpoint(GOLDENS / name, *CODED_EMBEDDING, "--scale", "minmax") for name in names})


@pytest.mark.parametrize("name", VLLM_MODELS)
def test_vllm_loads_an_embedding_in_codes(strata, coded, name):
    """vLLM fills it and, where the head was tied to it, the head, with codes of 4 bits, and nothing else has any."""
    if not has_coded_embedding(strata, name):
        return
    result, out = coded[name], strata.checkpoint(GOLDENS / name, *CODED_EMBEDDING, "--scale", "minmax")
    if "not supported by CPUWNA16, supported sizes are multiples of 32" in result.get("error", ""):
        pytest.skip("vLLM's kernel for CPUs takes no head of so many columns")
    assert "error" not in result, result["error"]
    assert not missing(name, result)
    planned = {module.rpartition(".")[2] for module in reference.groups_of(out)}
    assert {module.rpartition(".")[2] for module, bits in result["bits"].items() if bits} == planned
    tied = json.loads(strata.run("inspect", GOLDENS / name, "--json"))["architecture"]["tied_embeddings"]
    assert len(planned) == (2 if tied else 1), planned
