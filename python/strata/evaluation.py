"""Evaluations: perplexity of a model, its distance from the original, and what both reach in tasks."""
import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, overload

from ._jobs import Path, path_of, run
from ._options import takes_options
from ._progress import Callback

if TYPE_CHECKING:
    from typing import Unpack

    from ._options_of_jobs import EvaluateOptions
    from .model import Model
    from .result import Result


@dataclasses.dataclass(frozen=True)
class KlDivergence:
    """D(original || model) over the scored positions, nats per token."""

    mean: float
    stderr: float | None  # None for a single position
    median: float
    p99: float
    max: float


@dataclasses.dataclass(frozen=True)
class KlChange:
    """A divergence minus another, the mean over the positions, nats per token."""

    mean: float
    stderr: float | None  # None for a single position


@dataclasses.dataclass(frozen=True)
class AsItRuns:
    """The figures of a model whose activations are rounded as a runtime's kernels round them."""

    linears: dict[str, int]  #: by the way of rounding, such as "fp8 by token": how many linears read their inputs so
    cached_blocks: int  #: blocks whose keys and values are kept in FP8
    perplexity: float
    perplexity_stderr: float | None
    kl_divergence: KlDivergence | None
    top1_agreement: float | None
    kl_change: KlChange | None  #: the divergence minus that of the weights alone

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """From the member `as_it_runs` of eval.json."""
        kl, change = data["kl_divergence"], data.get("kl_change")
        return cls(linears=data["linears"], cached_blocks=data["cached_blocks"], perplexity=data["perplexity"], perplexity_stderr=data["perplexity_stderr"],
                   kl_divergence=KlDivergence(**kl) if kl else None, top1_agreement=data["top1_agreement"],
                   kl_change=KlChange(**change) if change else None)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What was measured of one model. What needs an original is None without one."""

    tokens: int  #: scored positions; 0 when there was no text
    perplexity: float  #: NaN when there was no text
    perplexity_stderr: float | None
    ref_perplexity: float | None
    ref_perplexity_stderr: float | None
    kl_divergence: KlDivergence | None
    top1_agreement: float | None  #: share of the positions where both have the same most likely token, 0 to 1
    tasks: list[dict[str, Any]]  #: a record for each task, metric and filter, as in eval.json; empty when there were none
    as_it_runs: AsItRuns | None  #: where activations are rounded as the model runs; the members above are of its weights
    data: dict[str, Any] = dataclasses.field(repr=False)  #: all of it, as in eval.json (docs/files.md)

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """From a member of eval.json."""
        kl, runs = data.get("kl_divergence"), data.get("as_it_runs")
        absent: dict[str, Any] = {"tokens": 0, "perplexity": math.nan, "tasks": []}
        made = ("kl_divergence", "as_it_runs", "data")
        names = [field.name for field in dataclasses.fields(cls) if field.name not in made]
        plain: dict[str, Any] = {name: data.get(name, absent.get(name)) for name in names}
        return cls(kl_divergence=KlDivergence(**kl) if kl else None, as_it_runs=AsItRuns.of(runs) if runs else None,
                   data=data, **plain)


@overload
def evaluate(model: "Path | Model | Result", *, text: Path | None = None,  # type: ignore[overload-overlap]  # a str is a sequence
             ref: "Path | Model | None" = None, output: Path | None = None,
             progress: bool | Callback | None = None, **options: "Unpack[EvaluateOptions]") -> Evaluation: ...


@overload
def evaluate(model: "Sequence[Path | Model | Result]", *, text: Path | None = None, ref: "Path | Model | None" = None,
             output: Path | None = None, progress: bool | Callback | None = None,
             **options: "Unpack[EvaluateOptions]") -> list[Evaluation]: ...


@takes_options("evaluate")
def evaluate(model: "Path | Model | Result | Sequence[Path | Model | Result]", *, text: Path | None = None,
             ref: "Path | Model | None" = None, output: Path | None = None, progress: bool | Callback | None = None,
             **options: "Unpack[EvaluateOptions]") -> Evaluation | list[Evaluation]:
    """Measures perplexity on a text, and with `ref`, the original, also KL divergence and top-1 agreement; or `tasks`, or both.

    model: a path, an opened model or a result; of a list all run on the same text together, and a list comes back.
    text: a file of UTF-8 text. tasks: names of tasks of lm-evaluation-harness, or YAML files that define one (docs/tasks.md).
    output: also writes eval.json. progress: False for none, or a callback.
    Raises strata.Error for models that cannot be run or compared.
    """
    several = isinstance(model, (list, tuple))
    models = [path_of(one) for one in (model if isinstance(model, (list, tuple)) else [model])]
    held = {"MODEL": models, "ref": None if ref is None else path_of(ref), "text": text, "output": output}
    data = run("evaluate", {**held, **options}, progress)
    if not several or len(models) == 1:
        return [Evaluation.of(data)] if several else Evaluation.of(data)
    return [Evaluation.of(one) for one in data["models"]]
