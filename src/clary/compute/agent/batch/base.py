"""The seam of the ways to ask a model: payloads in, what is written for them out."""

from concurrent.futures import Future
from typing import Protocol


class PayloadError(Exception):
    """The model refused a payload, or failed over it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        """As of HTTP; 0 where no answer came at all."""
        self.message = message


class ModelGoneError(Exception):
    """The model's program has ended; no further payload can be asked of it."""


class Model(Protocol):
    """A model that is loaded and answers.

    Promises
    --------
    - `ask` returns at once while the model has room, else waits until it has: whoever asks need not count.
    - A future ends with what is written for the payload, filters and joins applied; with `PayloadError` or
      `RecordError` where that payload is at fault; with `ModelGoneError` where the model is.
    - After `close` every future ends. Methods may be called from any thread.
    """

    takes_stretches: bool
    """A payload may be many lines where one at a time is asked for: the model cuts it."""

    def ask(self, payload: bytes) -> "Future[bytes]":
        """Have a payload transformed."""
        ...

    def close(self) -> None:
        """Ask nothing more."""
        ...
