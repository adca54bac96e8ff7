"""What came of quantizing, and what would come of it."""
import dataclasses
import pathlib
from typing import Any

from . import _html
from .evaluation import Evaluation
from .plan import Plan


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What quantize would write and take."""

    plan: Plan
    seconds: float  #: of rounding and writing on this machine
    scoring_seconds: float  #: of scoring before that; 0 where scores are given or not needed
    memory_bytes: int
    disk_bytes: int
    spills: bool  #: hidden states go to a file, to keep within `memory`


class Result:
    """A quantized model on disk. A notebook shows its report."""

    def __init__(self, data: dict[str, Any], plan: Plan) -> None:
        self.data = data  #: all that `strata quantize --json` prints
        self.plan = plan  #: the codec of every group

    @property
    def path(self) -> pathlib.Path:
        """The checkpoint's folder, or the GGUF file (the first of a split one)."""
        return pathlib.Path(self.data["output"])

    @property
    def bytes(self) -> int:
        """Exact bytes of the whole output."""
        return int(self.data["output_bytes"])

    @property
    def verification(self) -> Evaluation | None:
        """The result measured against the original; None with `verify=False`."""
        measured = self.data.get("verification")
        return Evaluation.of(measured) if measured else None

    @property
    def report(self) -> pathlib.Path | None:
        """The page that a person can look at; None with `report=False`, and where strata was built without it."""
        path = pathlib.Path(self.data["report"]) if "report" in self.data else None
        return path if path and path.exists() else None

    @property
    def linears(self) -> list[dict[str, Any]]:
        """Of a method with calibration, a record for each linear: module, codec, relative_error (of its outputs),
        nearest_relative_error (by rounding to nearest), tokens (that it saw)."""
        return list(self.data["rounding"].get("linears", []))

    @property
    def seconds(self) -> float:
        """Of the whole job."""
        return float(self.data["seconds"])

    def __repr__(self) -> str:
        measured = self.verification
        kl = f", KL divergence {measured.kl_divergence.mean:.5f}" if measured and measured.kl_divergence else ""
        return f"<strata.Result {self.path}: {self.bytes} bytes, {self.plan.bits:.3f} bits{kl}>"

    def _repr_html_(self) -> str:
        if self.report:
            return _html.frame(self.report.read_text())
        return _html.table(self.plan.groups, ("name", "codec", "bits", "bytes", "cost"), repr(self)[1:-1])
