"""The seam of a replica's handlers: each member has `load(name, model_dir, environ) -> Handler`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from clary.algorithms.base import Answer, Question
from clary.kernel import registry

PACKAGE = "clary.serving.handlers"
Bound = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Makes of a function one that is called when a device is free for it."""


class GoneError(ConnectionError):
    """What the handler itself asks has gone away: the edge shall ask another replica."""


class Handler(Protocol):
    """A loaded model that answers requests.

    Promises
    --------
    - `answer_many` answers every question, in order. What goes wrong with one is that one's answer.
    - With `is_concurrent` it may be called from several threads at once.
    """

    is_concurrent: bool

    def answer_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer every question, in order."""
        ...


def load(handler: str, name: str, model_dir: Path, environ: Mapping[str, str]) -> Handler:
    """Load a model with one of the handlers.

    Parameters
    ----------
    handler : str
        `builtin` or `script`.
    name : str
        Algorithm or framework.

    Raises
    ------
    CustomerError
        The model, or the customer's code, cannot be loaded.
    LookupError
        No such handler.
    """
    loaded: Handler = registry.member(PACKAGE, handler).load(name, model_dir, environ)
    return loaded
