"""EleutherAI's lm-evaluation-harness runs its tasks on strata, with or without torch:

    python -m strata.lm_eval run --model strata --model_args pretrained=OUT --tasks arc_easy,hellaswag

Arguments are those of the command `lm-eval`; this registers the model type `strata` first. docs/tasks.md says more.
What a request becomes (ends of texts, truncation, windows) is as in the harness's own model type `hf`.
"""
import json
from collections.abc import Iterable, Iterator
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tqdm import tqdm

from .. import set_threads
from ..model import Model

DEFAULT_LENGTH = 2048  # of a context, where config.json says none
Encoded = tuple[tuple[str, str] | None, list[int], list[int]]  # the texts, where an answer is kept by them; their ids


@register_model("strata")
class StrataLM(TemplateLM):  # type: ignore[misc]
    """A model that strata runs, as lm-evaluation-harness asks models.

    pretrained: a folder, a GGUF file or hf:ORG/NAME. precision: "f32" or "bf16". max_length: tokens of context and answer; unset:
    config.json's. threads: 0 for all CPUs. Contexts of several answers run once. Other arguments of the harness
    (batch_size, device) change nothing.
    """

    def __init__(self, pretrained: str, precision: str = "f32", max_length: int | None = None, threads: int = 0,
                 add_bos_token: bool | None = None, **ignored: object) -> None:
        super().__init__()
        set_threads(int(threads))
        self.model = Model(pretrained, "bf16" if precision == "bf16" else "f32")
        self.max_length = int(max_length or self.model.max_position or DEFAULT_LENGTH)
        self._add_bos = add_bos_token
        begin, ends = self.model._opened.ends()
        known = [token for token in (begin, *ends) if token is not None]
        if not known:
            raise ValueError(f"{pretrained}: its tokenizer has no token that begins or ends a text")
        self._prefix, self._end = known[0], (ends or known)[0]

    @property
    def eot_token_id(self) -> int:
        return self._end

    @property
    def prefix_token_id(self) -> int:
        return self._prefix

    @property
    def tokenizer_name(self) -> str:
        return str(self.model.path).replace("/", "__")

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **ignored: object) -> list[int]:
        add = add_special_tokens if add_special_tokens is not None else self._add_bos is not False
        if add_special_tokens is None and string.startswith(self._text_of(self.prefix_token_id)):
            add = False  # the text brings its own, as rendered chats do
        ids: list[int] = self.model.tokenize(string, add_special=add).tolist()
        return ids

    def _text_of(self, token: int) -> str:
        return self.model.detokenize([token], skip_special=False)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        text = self.model.render_chat(chat_history, add_generation_prompt=add_generation_prompt)
        if add_generation_prompt:
            return text
        last = chat_history[-1]["content"].strip()  # the answer is begun, and goes on: nothing closes it
        return text[: text.rindex(last) + len(last)]

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        return self.model._opened.chat_template() if chat_template else None

    def _loglikelihood_tokens(self, requests: list[Encoded], disable_tqdm: bool = False,
                              **ignored: object) -> list[tuple[float, bool]]:
        answers: list[tuple[float, bool]] = [(0.0, True)] * len(requests)
        with tqdm(total=len(requests), disable=disable_tqdm, desc="Running loglikelihood requests") as bar:
            for context, numbers in self._by_context(requests):
                continuations = [requests[number][2] for number in numbers]
                for number, answer in zip(numbers, self.model.log_likelihoods(context, continuations)):
                    answers[number] = answer
                    if requests[number][0] is not None:
                        self.cache_hook.add_partial("loglikelihood", requests[number][0], answer)
                bar.update(len(numbers))
        return answers

    def _by_context(self, requests: list[Encoded]) -> Iterable[tuple[list[int], list[int]]]:
        """Each context, and the numbers of the requests that share it, the longest first: its time tells the rest's."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for number, (_, context, continuation) in enumerate(requests):
            room = self.max_length + 1 - len(continuation)  # the last token is predicted, but not read
            if room < 1:
                raise ValueError(f"an answer of {len(continuation)} tokens is longer than max_length {self.max_length}")
            groups.setdefault(tuple(context[-room:]), []).append(number)
        return [(list(context), numbers) for context, numbers in sorted(groups.items(), key=lambda group: -len(group[0]))]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        totals = []
        for (text,) in tqdm([request.args for request in requests], disable=disable_tqdm):
            windows = [(None, *make_disjoint_window(window)) for window in self._windows(text)]
            total = sum(answer for answer, _ in self._loglikelihood_tokens(windows, disable_tqdm=True))
            totals.append(total)
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), total)
        return totals

    def _windows(self, text: str) -> Iterator[tuple[list[int], list[int]]]:
        windows: Iterator[tuple[list[int], list[int]]] = get_rolling_token_windows(
            token_list=self.tok_encode(text), prefix_token=self.prefix_token_id, max_seq_len=self.max_length, context_len=1)
        return windows

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        texts = []
        for context, asked in tqdm([request.args for request in requests], disable=disable_tqdm,
                                   desc="Running generate_until requests"):
            text = self._generate(context, asked)
            texts.append(text)
            self.cache_hook.add_partial("generate_until", (context, asked), text)
        return texts

    def _generate(self, context: str, asked: dict[str, Any]) -> str:
        kwargs = normalize_gen_kwargs(json.loads(json.dumps(asked)), 256)
        until = handle_stop_sequences(kwargs.get("until"), eos=self._text_of(self.eot_token_id))
        count = int(kwargs["max_gen_toks"])
        if count >= self.max_length:
            raise ValueError(f"max_gen_toks {count} leaves no room for a context in max_length {self.max_length}")
        ids = self.tok_encode(context)[-(self.max_length - count):]
        sampled = {"temperature": kwargs.get("temperature", 0.0), "top_p": kwargs.get("top_p", 1.0)}
        text = self.model.generate(ids, max_tokens=count, until=until, **sampled)
        return str(postprocess_generated_text(text, until, None))
