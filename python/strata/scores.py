"""Scores: how much every block and linear of a model matters."""
import json
import pathlib
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ._jobs import Path


class Scores:
    """The signals of one model on one calibration text, as in scores.json (docs/files.md)."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data  #: all of scores.json

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads scores.json. Whether it fits a model is checked when it is used."""
        return cls(json.loads(pathlib.Path(path).read_text()))

    def save(self, path: Path) -> None:
        """Writes scores.json."""
        pathlib.Path(path).write_text(json.dumps(self.data))

    @property
    def blocks(self) -> dict[str, NDArray[np.float64]]:
        """By signal, its values (blocks,). docs/signals.md says what each is, and whether higher means more important."""
        return {name: np.array(signal["values"]) for name, signal in self.data["blocks"].items()}

    @property
    def groups(self) -> dict[str, NDArray[np.float64]]:
        """By signal of fusion groups, its values (groups,), in the model's order."""
        return {name: np.array(signal["values"]) for name, signal in self.data["groups"].items()}

    @property
    def linears(self) -> list[dict[str, Any]]:
        """A record for each signal, linear and codec: signal, module, codec, bytes (on disk), error, relative (error as a
        share of that of weights that are all 0)."""
        return [{"signal": name, "module": linear["module"], "codec": codec, "bytes": score["bytes"], "error": score["error"],
                 "relative": score["relative"]}
                for name, signal in self.data["linears"].items() for linear in signal["linears"]
                for codec, score in linear["codecs"].items()]

    def __repr__(self) -> str:
        calibration = self.data["calibration"]
        signals = [name for part in ("blocks", "groups", "linears") for name in self.data[part]]
        return f"<strata.Scores of {', '.join(signals)} on {calibration['samples']} x {calibration['seq_len']} tokens>"
