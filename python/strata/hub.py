"""Models from the Hugging Face hub, and checkpoints to it."""
import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any

from ._jobs import Path, path_of, run
from ._options import takes_options
from ._progress import Callback

if TYPE_CHECKING:
    from typing import Unpack

    from ._options_of_jobs import PullOptions, PushOptions
    from .result import Result


@dataclasses.dataclass(frozen=True)
class Pulled:
    """A model in the cache of huggingface_hub."""

    path: pathlib.Path  #: the folder of the snapshot
    commit: str | None  #: None where HF_HUB_OFFLINE is set
    fetched_bytes: int  #: that the cache did not have
    data: dict[str, Any] = dataclasses.field(repr=False)  #: all of it: files and left_out too, each with name and bytes

    def __fspath__(self) -> str:
        return str(self.path)


@dataclasses.dataclass(frozen=True)
class Pushed:
    """What a push has changed."""

    repository: str
    created: bool  #: whether the repository was made
    commit: str | None  #: None where the repository had all of it
    url: str | None  #: of the commit
    files: int  #: that were new or other than before
    bytes: int  #: of these


@takes_options("pull")
def pull(repository: str, *, progress: bool | Callback | None = None, **options: "Unpack[PullOptions]") -> Pulled:
    """Fetches a model from the hub into the cache of huggingface_hub; `strata.open("hf:ORG/NAME")` does so by itself.

    repository: ORG/NAME[@REVISION]. progress: False for none, or a callback.
    Raises strata.Error for a repository that is not there or needs a token; what has arrived when it ends early is kept.
    """
    data = run("pull", {"REPOSITORY": repository, **options}, progress)
    return Pulled(pathlib.Path(data["path"]), data.get("commit"), data["fetched_bytes"], data)


@takes_options("push")
def push(output: "Path | Result", repository: str, *, progress: bool | Callback | None = None,
         **options: "Unpack[PushOptions]") -> Pushed:
    """Commits a folder with its model card, or a GGUF file, to a repository of the hub.

    output: a path or a result. repository: ORG/NAME[@BRANCH]; one that is not there is made with create=True only.
    Raises strata.Error for a repository that is not there or may not be written to.
    """
    data = run("push", {"OUT": path_of(output), "REPOSITORY": repository, **options}, progress)
    return Pushed(**data)
