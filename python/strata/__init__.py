"""strata: layer-wise mixed-precision quantization of language models on a CPU.

    model = strata.open("MODEL")
    scores = model.score(calib=["wiki.txt"])
    plan = model.plan(bits=4.5, scores=scores)
    result = model.quantize("OUT", plan=plan, method="gptq")
    strata.evaluate("OUT", ref=model, text="wiki.test.txt")

docs/python.md is a tour. Options have the names and defaults of the command line; help(strata.Model.quantize) lists them.
"""
from ._core import Error, UsageError, set_threads, threads
from ._core import version as __version__
from ._progress import Progress
from .evaluation import AsItRuns, Evaluation, KlChange, KlDivergence, evaluate
from .hub import Pulled, Pushed, pull, push
from .model import Model
from .model import open_model as open
from .plan import Plan
from .result import Forecast, Result
from .scores import Scores

__all__ = ["AsItRuns", "Error", "Evaluation", "Forecast", "KlChange", "KlDivergence", "Model", "Plan", "Progress", "Pulled",
           "Pushed", "Result", "Scores", "UsageError", "__version__", "evaluate", "open", "pull", "push", "set_threads", "threads"]

Error.__module__ = UsageError.__module__ = __name__
Error.__doc__ = "The input or the machine is at fault. The message is one sentence: what, where, and what to do."
UsageError.__doc__ = "Options that make no sense, whatever the model; the sentence names them as the command line does."
