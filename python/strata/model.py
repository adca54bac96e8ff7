"""Models: opened, looked at, run, scored, planned for and quantized."""
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from ._jobs import Path, file_of, in_main_thread, run
from ._options import takes_options
from ._progress import Callback, listener_of
from .plan import Plan
from .result import Forecast, Result
from .scores import Scores

if TYPE_CHECKING:
    from typing import Unpack

    from ._options_of_jobs import PlanOptions, QuantizeOptions, ScoreOptions


class Model:
    """A model on disk: a Hugging Face folder or a GGUF file, quantized or not. `strata.open` makes one.

    Weights stay in the file until they are used, and are never changed. The jobs (score, plan, quantize) open the file
    anew, as the target groups its linears, so that a model may be in several at once.
    """

    def __init__(self, path: Path, precision: Literal["f32", "bf16"] = "f32", progress: bool | Callback | None = None) -> None:
        found = _core.model_path(os.fspath(path), listener_of(progress), in_main_thread())
        self.path = pathlib.Path(found)  #: as given; for a name of the hub, where it lies on this machine
        self._opened = _core.Model(str(self.path), precision)
        self._about: dict[str, Any] = json.loads(self._opened.describe())

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that identify configuration, tensors and samples of the weights."""
        return str(self._about["fingerprint"])

    @property
    def model_type(self) -> str:
        """config.json's: "llama", "qwen3" ..."""
        return str(self._about["model_type"])

    @property
    def blocks(self) -> int:
        """How many transformer layers it has."""
        return int(self._about["blocks"])

    @property
    def vocab_size(self) -> int:
        """How many logits a position has."""
        return int(self._about["vocab"])

    @property
    def max_position(self) -> int:
        """How many tokens of context config.json says that it was made for; 0 where it does not say."""
        return int(self._about["max_position"])

    @property
    def linears(self) -> list[dict[str, Any]]:
        """A record for each weight matrix (rows, cols): module, block, role, group (of linears that must share a codec),
        rows (outputs), cols (inputs), codec (None for dense weights), bytes on disk."""
        return [dict(linear) for linear in self._about["linears"]]

    def tokenize(self, text: str, *, add_special: bool = False) -> NDArray[np.uint32]:
        """The ids (tokens,) of a text. add_special: with the tokens that the model expects around it, such as BOS."""
        return self._opened.tokenize(text, add_special)

    def detokenize(self, ids: ArrayLike, *, skip_special: bool = True) -> str:
        """The text of ids (tokens,); bytes that form no character become U+FFFD."""
        return self._opened.detokenize(_ids(ids), skip_special)

    def logits(self, ids: ArrayLike) -> NDArray[np.float32]:
        """Logits (tokens, vocab) of ids (tokens,), or (sequences, tokens, vocab) of ids (sequences, tokens).

        Row t holds the unnormalized log-probabilities of the token after ids[t]. An array of uint32 is read where it
        lies. Raises strata.Error for ids outside the vocabulary, and for a model whose forward pass is not known.
        """
        array = _ids(ids)
        if array.ndim not in (1, 2):
            raise ValueError(f"ids have {array.ndim} dimensions: expected (tokens,) or (sequences, tokens)")
        return self._opened.logits(array)

    def log_likelihoods(self, context: ArrayLike, continuations: Sequence[ArrayLike]) -> list[tuple[float, bool]]:
        """How likely the model finds each continuation of a context: what a task of several choices asks.

        context: ids (tokens,), at least one; it runs once. continuations: ids (tokens,) each. Returns for each the sum of
        log p over its tokens, in nats, and whether each of its tokens is the most likely one.
        """
        return self._opened.log_likelihoods(_ids(context), [_ids(each).tolist() for each in continuations])

    def generate(self, prompt: str | ArrayLike, *, max_tokens: int = 128, temperature: float = 0.0, top_p: float = 1.0,
                 seed: int = 0, until: Sequence[str] = ()) -> str:
        """The text that the model writes after a prompt, to the token that ends a text or to the first of `until`.

        prompt: a text, or ids (tokens,). temperature: 0 takes the most likely token each time. top_p: samples from the
        fewest tokens with that probability together. The same seed gives the same text.
        """
        ids = self.tokenize(prompt, add_special=True) if isinstance(prompt, str) else _ids(prompt)
        return self._opened.generate(ids, max_tokens, temperature, top_p, seed, list(until), in_main_thread())

    def render_chat(self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True) -> str:
        """The prompt of a conversation by the model's chat template, as transformers' apply_chat_template renders it.

        messages: {"role": "user", "content": "..."} each. add_generation_prompt: with what opens the answer. Its ids
        are those of `tokenize`, since the template has put BOS where it belongs. Raises strata.Error without a template.
        """
        return self._opened.render_chat(json.dumps(list(messages)), add_generation_prompt)

    @takes_options("score")
    def score(self, *, output: Path | None = None, progress: bool | Callback | None = None,
              **options: "Unpack[ScoreOptions]") -> Scores:
        """Measures how much every block and linear matters. Plans for every budget follow from it.

        output: also writes scores.json there; a run that was stopped is then resumed by the same call. progress: False
        for none, or a callback. calib: a text, or a list of files that are one text; a list of lists for texts that
        count separately. Raises strata.Error for a model that cannot be scored so.
        """
        return Scores(run("score", {"MODEL": self.path, "output": output, **options}, progress))

    @takes_options("plan")
    def plan(self, *, scores: "Scores | Path | None" = None, output: Path | None = None,
             progress: bool | Callback | None = None, **options: "Unpack[PlanOptions]") -> Plan:
        """Turns a budget into a codec for every group, in milliseconds.

        scores: what score returned, or its file; presets that spend bytes by measurements need it. output: also writes
        plan.json there. Raises strata.Error for a budget that cannot be met, saying what the least is.
        """
        with file_of(scores, "scores.json") as file:
            data = run("plan", {"MODEL": self.path, "scores": file, "output": output, **options}, progress)
        return self._plan(data, scores)

    @takes_options("quantize")
    def quantize(self, output: Path, *, plan: "Plan | Path | None" = None, scores: "Scores | Path | None" = None,
                 progress: bool | Callback | None = None, **options: "Unpack[QuantizeOptions]") -> Result:
        """Writes the best checkpoint that fits, and measures it against the original.

        output: a folder, or a name that ends in .gguf. plan: what plan returned, or its file; without one it is made
        here, and so are scores. The same call resumes a run that was stopped, and writes the same bytes. Raises
        strata.Error for a request that cannot be met, before anything is written.
        """
        with file_of(plan, "plan.json") as plan_file, file_of(scores, "scores.json") as scores_file:
            given = {"MODEL": self.path, "output": output, "plan": plan_file, "scores": scores_file, **options}
            data = run("quantize", given, progress)
        return Result(data, self._plan(data, scores))

    @takes_options("dry_run")
    def dry_run(self, output: Path, *, plan: "Plan | Path | None" = None, scores: "Scores | Path | None" = None,
                progress: bool | Callback | None = None, **options: "Unpack[QuantizeOptions]") -> Forecast:
        """What quantize would write and take: exact bytes, seconds, memory. Nothing is written."""
        with file_of(plan, "plan.json") as plan_file, file_of(scores, "scores.json") as scores_file:
            given = {"MODEL": self.path, "output": output, "plan": plan_file, "scores": scores_file, **options}
            data = run("dry_run", given, progress)
        return Forecast(plan=self._plan(data, scores), **data["estimate"])

    def _plan(self, data: dict[str, Any], scores: "Scores | Path | None") -> Plan:
        return Plan(data["plan"], output_bytes=data["output_bytes"], notes=tuple(data["notes"]),
                    left_out=tuple(data["left_out"]), explanation=data.get("explanation"), model=self.path, scores=scores)

    def __repr__(self) -> str:
        return f"<strata.Model {self.path}: {self.model_type}, {self.blocks} blocks>"


def open_model(path: Path, precision: Literal["f32", "bf16"] = "f32", progress: bool | Callback | None = None) -> Model:
    """Opens a Hugging Face folder of safetensors, a GGUF file, or hf:ORG/NAME[@REVISION][:FILE.gguf] of the hub.

    What is not on this machine yet is fetched, with a bar, into the cache of huggingface_hub; docs/hub.md tells more.

    precision: of activations in matrix products of `logits`; f32 is exact, bf16 faster. progress: of what is fetched, as in
    Model.score. Raises strata.Error saying what is missing, superfluous or damaged, or why the hub refuses.
    """
    return Model(path, precision, progress)


def _ids(ids: ArrayLike) -> NDArray[np.uint32]:
    array = np.asarray(ids)
    if array.dtype.kind not in "iu" and array.size > 0:
        raise TypeError(f"ids are {array.dtype}: expected integers")
    if array.size > 0 and (array.min() < 0 or array.max() >= 2**32):
        raise ValueError("ids are not all from 0 to 4294967295")
    return np.ascontiguousarray(array, dtype=np.uint32)
