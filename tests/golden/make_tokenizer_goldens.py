#!/usr/bin/env python3
"""Make the goldens of the tokenizer and chat template tests, from tokenizers, sentencepiece and transformers.

    make_tokenizer_goldens.py --shared ../shared [--models build/models]

tokenizer_ids.json        ids of short texts; count and FNV-1a 64 (over little-endian u32 ids) of whole files
chat_templates.json       apply_chat_template of chat_templates/*.jinja on several conversations
template_snippets.json    single expressions through the same Jinja environment, each with its result or "error"

Needs: pip install transformers==5.23.0 tokenizers==0.23.3 sentencepiece==0.2.3 protobuf jinja2==3.1.6
"""
import argparse
import json
import pathlib
import re
import struct

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import _compile_jinja_template

HERE = pathlib.Path(__file__).parent
SAMPLES = [
    "", " ", "  ", "\n", "\t\n \n", "Hello world", " Hello  world ", "Hello,\n\n\nworld!\r\n", "I'm we'LL they'd it's 'TIS",
    "1234567 3.14 1,000 \u00bd \u00b2 \u216b \u0663", "na\u00efve cafe\u0301 caf\u00e9 \u00df \u1e9e",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u3053\u3093\u306b\u3061\u306f \ud55c\uad6d\uc5b4",
    "\U0001f600 \U0001f469\u200d\U0001f4bb \U0001f1e9\U0001f1ea", "def f(x):\n    return x**2  # ok\n\n\tif a<=b: pass",
    "a\u00a0b\u2003c\u200bd\u3000e", "\u0915\u094d\u0937 \u0e20\u0e32\u0e29\u0e32 \u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "<|im_start|>user\nhi<|im_end|>", "<s> </s> <unk> <0x0A>", "x<|endoftext|>y", "\u2581underscore \u0120G \ufffd \x00\x01",
    "=" * 70 + "\n" + "-" * 33, "A" * 40, "https://example.org/a_b?c=d&e=%20#f",
]


def fnv1a(ids):
    h = 0xCBF29CE484222325
    for byte in struct.pack(f"<{len(ids)}I", *ids):
        h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


def golden_ids(encode, decode, folder):
    files = {}
    for path in sorted(folder.iterdir()):
        ids = encode(path.read_bytes().decode("utf-8"))
        files[path.name] = {"count": len(ids), "fnv1a": fnv1a(ids)}
    samples = []
    for text in SAMPLES:
        ids = encode(text)
        samples.append({"text": text, "ids": ids, "decoded": decode(ids)})
    return {"files": files, "samples": samples}


def sentencepiece_processor(path):
    """White space is kept, as transformers and llama.cpp do whatever the model says."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(path.read_bytes())
    proto.normalizer_spec.remove_extra_whitespaces = False
    return sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())


def make_ids(args):
    result = {}
    for name, folder in (("smollm2", "smollm2"), ("qwen2", "qwen2_tokenizer")):
        tok = Tokenizer.from_file(str(args.models / folder / "tokenizer.json"))
        result[name] = golden_ids(lambda t: tok.encode(t, add_special_tokens=False).ids,
                                  lambda ids: tok.decode(ids, skip_special_tokens=True), args.shared / "data/text")
    spm = sentencepiece_processor(args.shared / "data/models/stories260K/tok512.model")
    result["tok512"] = golden_ids(spm.encode, spm.decode, args.shared / "data/text")
    # Text that spells a marker is the marker to transformers and llama.cpp, and plain text to sentencepiece.
    result["tok512"]["samples"] = [s for s in result["tok512"]["samples"] if "<s>" not in s["text"]]
    result["tok512"]["files"] = {name: golden for name, golden in result["tok512"]["files"].items()
                                 if not re.search(b"<s>|</s>|<unk>", (args.shared / "data/text" / name).read_bytes())}
    return result


TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Weather of a city.\nCelsius by default, \"F\" on request & <now>.",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "Name, e.g. \u00c5rhus"},
            "items": {"type": "array", "items": {"type": "string"}},
            "unit": {"type": "string", "enum": ["C", "F"], "default": "C"}}, "required": ["city"]}}},
    {"type": "function", "function": {"name": "noop", "description": "", "parameters": {"type": "object", "properties": {}}}},
]
SYSTEM = {"role": "system", "content": " Be terse.\n"}
USER = {"role": "user", "content": "Hi 'there' <b>\u00e9</b> \"q\" \\n\n"}
ANSWER = {"role": "assistant", "content": "Hello!\n "}
THOUGHT = {"role": "assistant", "content": "<think>\nlong\nthought\n</think>\n\nAnswer."}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {
    "name": "get_weather", "arguments": {"city": "\u00c5rhus", "n": 2, "x": [1.5, True, None, 1e-7], "o": {}}}}]}
CALLS = {"role": "assistant", "content": "Both.", "tool_calls": CALL["tool_calls"] + [
    {"type": "function", "function": {"name": "noop", "arguments": "{\"raw\": 1}"}}]}
RESULT = {"role": "tool", "content": "{\"t\": 21}"}
PARTS = {"role": "user", "content": [{"type": "text", "text": " one "}, {"type": "image"}, {"type": "text", "text": "two"}]}
CHATS = {
    "user": [USER], "system_user": [SYSTEM, USER], "turns": [SYSTEM, USER, ANSWER, USER], "answer_first": [ANSWER, USER],
    "two_users": [USER, USER], "thought": [USER, THOUGHT, USER], "thought_last": [USER, THOUGHT],
    "reasoning": [USER, {"role": "assistant", "content": "So.", "reasoning": "because"}], "call": [USER, CALL, RESULT],
    "calls": [SYSTEM, USER, CALLS, RESULT, RESULT, ANSWER, USER], "parts": [PARTS, ANSWER], "alien": [{"role": "alien", "content": "x"}],
}
SETTINGS = [
    {"tools": None, "add_generation_prompt": True, "variables": {"date_string": "26 Jul 2024"}},
    {"tools": None, "add_generation_prompt": False, "variables": {"date_string": "26 Jul 2024"}},
    {"tools": TOOLS, "add_generation_prompt": True, "variables": {"date_string": "26 Jul 2024", "enable_thinking": False}},
]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}


def make_chats(args):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_file(str(args.models / "smollm2/tokenizer.json")), **SPECIAL)
    cases = []
    for path in sorted((HERE / "chat_templates").glob("*.jinja")):
        for chat, messages in CHATS.items():
            for i, setting in enumerate(SETTINGS):
                case = {"template": path.name, "chat": chat, "setting": i}
                try:
                    case["prompt"] = tokenizer.apply_chat_template(
                        messages, tools=setting["tools"], add_generation_prompt=setting["add_generation_prompt"], tokenize=False,
                        chat_template=path.read_text(), **setting["variables"])
                except Exception as error:  # what a template refuses, strata refuses too
                    case["error"] = str(error)
                cases.append(case)
    return {"special_tokens": SPECIAL, "chats": CHATS, "settings": SETTINGS, "cases": cases}


def make_snippets(_):
    cases = []
    context = json.loads((HERE / "template_context.json").read_text())
    for line in (HERE / "template_snippets.txt").read_text().splitlines():
        source = line.replace("\u21b5", "\n")  # a line break inside a snippet
        try:
            cases.append({"source": source, "result": _compile_jinja_template(source).render(**context)})
        except Exception as error:
            cases.append({"source": source, "error": str(error)})
    return {"context": context, "cases": cases}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=pathlib.Path, required=True)
    parser.add_argument("--models", type=pathlib.Path, default=pathlib.Path("build/models"))
    args = parser.parse_args()
    for name, make in (("tokenizer_ids", make_ids), ("chat_templates", make_chats), ("template_snippets", make_snippets)):
        (HERE / f"{name}.json").write_text(json.dumps(make(args), indent=1) + "\n")


if __name__ == "__main__":
    main()
