"""What a multi-model replica asks of its agent: a model's files, and to be told of its figures.

A line of JSON each way on a unix socket. The agent has the network and the credentials; the sandbox has not.
"""

import contextlib
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE_S = 900.0
"""Longest that a model may take to come in."""


class MissingError(Exception):
    """There is no such model, or it cannot be read."""


@dataclass(frozen=True)
class Staged:
    """A model's files, where this process can read them."""

    folder: Path
    label: str
    """As the agent calls the folder."""
    n_bytes: int


class Supply:
    """The agent, as its replica sees it."""

    def __init__(self, socket_path: Path, folder: Path) -> None:
        self._socket = socket_path
        self._folder = folder

    def fetch(self, model: str) -> Staged:
        """Have a model brought in.

        Raises
        ------
        MissingError
            There is none of that name, or it is no archive; the text is the client's.
        OSError
            The agent does not answer.
        """
        answer = self._ask({"want": model})
        if "missing" in answer:
            raise MissingError(answer["missing"])
        return Staged(self._folder / answer["folder"] / "model", answer["folder"], int(answer["n_bytes"]))

    def release(self, label: str) -> None:
        """Say that a model's files are not in use any more."""
        with contextlib.suppress(OSError, ValueError):
            self._ask({"release": label})

    def tell(self, metrics: Mapping[str, float]) -> None:
        """Tell figures, by the service's names."""
        with contextlib.suppress(OSError, ValueError):
            self._ask({"metrics": dict(metrics)})

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(PATIENCE_S)
            line.connect(str(self._socket))
            line.sendall(json.dumps(question).encode() + b"\n")
            with line.makefile("rb") as answers:
                text = answers.readline()
        if not text.endswith(b"\n"):
            raise ConnectionResetError("the agent hung up")
        answer: dict[str, Any] = json.loads(text)
        return answer
