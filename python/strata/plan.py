"""Plans: a codec for every fusion group of a model, within a budget."""
import json
import pathlib
from typing import Any, Self

from . import _core, _html
from ._jobs import Path
from .scores import Scores


class Plan:
    """A codec for every group of linears that a runtime fuses, as in plan.json (docs/files.md).

    A notebook shows its report: where the bits go, and what other sizes would cost.
    """

    def __init__(self, data: dict[str, Any], *, output_bytes: int | None = None, notes: tuple[str, ...] = (),
                 left_out: tuple[dict[str, str], ...] = (), explanation: list[dict[str, Any]] | None = None,
                 model: Path | None = None, scores: "Scores | Path | None" = None) -> None:
        self.data = data  #: all of plan.json
        self.output_bytes = output_bytes  #: exact bytes of the whole output; None for a plan from a file
        self.notes = notes  #: what a user should know
        self.left_out = left_out  #: records of codecs that were not considered: codec, reason
        self._explanation, self._model, self._scores = explanation, model, scores

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads plan.json. Whether it fits a model is checked when it is used."""
        return cls(json.loads(pathlib.Path(path).read_text()))

    def save(self, path: Path) -> None:
        """Writes plan.json, which a person may read and change."""
        pathlib.Path(path).write_text(json.dumps(self.data, indent=2) + "\n")

    @property
    def target(self) -> str:
        """The runtime that it is for."""
        return str(self.data["target"])

    @property
    def preset(self) -> str:
        """How the budget was spent."""
        return str(self.data["preset"])

    @property
    def bits(self) -> float:
        """Bytes written x 8 / weights, over the linears of the blocks."""
        return float(self.data["totals"]["bits"])

    @property
    def bytes(self) -> int:
        """Bytes of all linears, scales and padding included."""
        return int(self.data["totals"]["bytes"])

    @property
    def cost(self) -> float:
        """Estimated cost of all groups, in the unit of the signal that priced them: nats per token for alpha and kl."""
        return float(self.data["totals"]["cost"])

    @property
    def groups(self) -> list[dict[str, Any]]:
        """A record for each group: name, codec, linears (module names), bytes, weights, bits, cost. With `explain=True`
        also pinned, and the next better and worse choice: codec, and the bytes and cost that it would change."""
        records = [dict(group) for group in self.data["groups"]]
        for record, why in zip(records, self._explanation or []):
            record.update({key: why[key] for key in ("pinned", "better", "worse")})
        return records

    def __repr__(self) -> str:
        return f"<strata.Plan {self.preset} for {self.target}: {self.bits:.3f} bits, {len(self.data['groups'])} groups>"

    def _repr_html_(self) -> str:
        page = self._page()
        columns = ("name", "codec", "bits", "bytes", "cost")
        return _html.frame(page) if page else _html.table(self.groups, columns, repr(self)[1:-1])

    def _page(self) -> str:
        if self._model is None:
            return ""
        scores = self._scores
        if scores is not None and not isinstance(scores, Scores):
            scores = Scores.load(scores)
        return _core.plan_page(str(self._model), json.dumps(self.data), json.dumps(scores.data) if scores else "",
                               "model.plan(...)")
