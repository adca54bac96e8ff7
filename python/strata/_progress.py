"""What a job tells while it runs: bars of tqdm, or a callback; remarks go to the logger `strata`."""
import logging
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

LOGGER = logging.getLogger("strata")
QUIET_SECONDS = 2  # a stage that takes less shows no bar


class Progress(NamedTuple):
    """How far a stage of a job is. What a callback raises ends the job, which the same call resumes."""

    stage: str
    done: int
    total: int  # 0: the end is not known
    ended: bool


Callback = Callable[[Progress], object]


class Listener:
    """Is called by a job, in its thread. This one shows no progress."""

    def on_progress(self, stage: str, done: int, total: int) -> None:
        pass

    def on_end(self, stage: str) -> None:
        pass

    def on_remark(self, text: str) -> None:
        LOGGER.log(logging.WARNING if text.startswith("warning:") else logging.INFO, "%s", text)


class Caller(Listener):
    """Hands everything to a callback."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback
        self._last: dict[str, tuple[int, int]] = {}

    def on_progress(self, stage: str, done: int, total: int) -> None:
        self._last[stage] = (done, total)
        self._callback(Progress(stage, done, total, ended=False))

    def on_end(self, stage: str) -> None:
        self._callback(Progress(stage, *self._last.pop(stage, (0, 0)), ended=True))


class Bars(Listener):
    """A bar of tqdm for each stage, which goes away when it ends."""

    def __init__(self, bar: Callable[..., Any]) -> None:
        self._make = bar
        self._bars: dict[str, Any] = {}

    def on_progress(self, stage: str, done: int, total: int) -> None:
        if stage not in self._bars:
            self._bars[stage] = self._make(desc=stage, total=total or None, leave=False, delay=QUIET_SECONDS)
        bar = self._bars[stage]
        bar.update(done - bar.n)

    def on_end(self, stage: str) -> None:
        if bar := self._bars.pop(stage, None):
            bar.close()


def listener_of(progress: bool | Callback | None) -> Listener:
    """None: bars in terminals and notebooks. True, False: bars, or none. Else a callback."""
    if callable(progress):
        return Caller(progress)
    if progress is False:
        return Listener()
    from tqdm.auto import tqdm  # takes a moment to import

    in_notebook = any(kind.__module__ == "tqdm.notebook" for kind in tqdm.__mro__)
    return Bars(tqdm) if progress or in_notebook or sys.stderr.isatty() else Listener()
