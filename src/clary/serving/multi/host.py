"""A multi-model replica: questions go to the model that each names.

    edge ══frames══▶ thread a connection ─▶ model loaded here ──answer──▶
                                          ├▶ model with a process of its own: "moved", and the edge asks there
                                          └▶ not loaded: the question waits, the connection does not

Its answers' headers have further members: `cold` for a question that waited for its model, `moved` (the name
of a socket beside this one, to ask instead, and from now on), `once` where only this time, `seat` (the name
of the model as plain arrays, for the edge to answer in place), `fault` (the code of an error that is the
service's, not the model's).
"""

import os
import socket as sockets
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clary.algorithms.base import Answer, Question
from clary.compute.invocations import ADDRESS
from clary.serving.frames import Frame, pack
from clary.serving.handlers import container
from clary.serving.multi.models import FailedError, Models, Slot, limit_bytes
from clary.serving.multi.supply import Supply
from clary.serving.multi.workers import Nursery
from clary.serving.replica import IN_PLACE, Replica, answers_of, packed, question_of

MEMORY = "CLARY_MODELS_MEMORY_MIB"
"""Variable of the container's environment: memory for all loaded models; 0.8 of the instance's by default."""
LATE_S = 55.0
"""A question that waited so long is answered `ModelNotReadyException`: its client gives up at 60 s."""
NO_TARGET = "The endpoint is a multi-model endpoint: TargetModel is required."


def main(arguments: dict[str, Any]) -> int:
    """Run a multi-model replica until SIGTERM.

    Parameters
    ----------
    arguments : dict
        `socket`, `supply` (the agent's), `models` (folder in which models appear), `runtime` (`builtin` or
        `framework`), `name`, `version`, `memory_mib`, `is_cached`.
    """
    path = Path(arguments["socket"])
    path.parent.mkdir(parents=True, exist_ok=True)
    environ = {**os.environ, "CLARY_IMAGE_VERSION": arguments["version"]}
    name, is_script = arguments["name"], arguments["runtime"] != "builtin"
    nursery = Nursery(path.parent, name, environ)  # forks: before anything else makes a thread

    def kind_of(folder: Path) -> str:
        if arguments["runtime"] == "container":
            return "container"
        has_code = "SAGEMAKER_PROGRAM" in environ or (folder / "code/inference.py").is_file()
        return "script" if is_script and (has_code or name != "xgboost") else "builtin"

    if arguments["runtime"] == "container":
        container.await_well(environ[ADDRESS])
    chosen = environ.get(MEMORY, "")
    models = Models(
        Supply(Path(arguments["supply"]), Path(arguments["models"])),
        nursery,
        path.parent,
        kind_of=kind_of,
        name=name,
        environ=environ,
        most_bytes=int(chosen) << 20 if chosen.isdecimal() else limit_bytes(arguments["memory_mib"]),
        is_cached=arguments["is_cached"],
        in_place=environ.get(IN_PLACE, "true").lower() not in {"false", "0", "no", "off"},
    )
    threading.Thread(target=models.sweep, name="sweep", daemon=True).start()
    MultiReplica(models).run(path)
    return 0


class _Nobody:
    """Stands where a replica has its one handler."""

    is_concurrent = True

    def answer_many(self, questions: Sequence[Question]) -> list[Answer]:
        return [Answer(NO_TARGET.encode(), "text/plain", 500) for _ in questions]


class MultiReplica(Replica):
    """Carries frames between connections and the models that they name."""

    def __init__(self, models: Models) -> None:
        super().__init__(_Nobody())
        self._models = models
        self._locks: dict[sockets.socket, threading.Lock] = {}

    def attend(self, line: sockets.socket) -> None:
        """Serve one connection until it ends."""
        self._locks[line] = threading.Lock()
        try:
            super().attend(line)
        finally:
            self._locks.pop(line, None)

    def _send(self, line: sockets.socket, data: bytes) -> None:
        lock = self._locks.get(line)
        if lock is not None:
            with lock:
                line.sendall(data)

    def _reply(self, line: sockets.socket, frames: Sequence[Frame]) -> None:
        """Answer what can be answered at once, model by model; the rest waits elsewhere."""
        groups: dict[Slot, list[Frame]] = {}
        for frame in frames:
            if frame.header.get("ping"):
                self._send(line, pack(frame.request_id, {"status": 200}))
                continue
            name = frame.header.get("target_model")
            if not name:
                self._send(line, _refused(frame, FailedError(400, NO_TARGET, "ValidationError")))
                continue
            slot = self._models.ask(name, self._waiter(line, frame))
            if slot is not None:
                groups.setdefault(slot, []).append(frame)
        for slot, asked in groups.items():
            self._answer(line, slot, asked, {})

    def _waiter(self, line: sockets.socket, frame: Frame) -> Any:
        since = time.monotonic()

        def found(slot: Slot | FailedError) -> None:
            if time.monotonic() - since > LATE_S:
                text = f"Model {frame.header['target_model']} is still being loaded; ask again."
                self._send(line, _refused(frame, FailedError(429, text, "ModelNotReadyException")))
            elif isinstance(slot, FailedError):
                self._send(line, _refused(frame, slot))
            else:
                self._answer(line, slot, [frame], {"cold": 1})

        return found

    def _answer(self, line: sockets.socket, slot: Slot, asked: Sequence[Frame], more: dict[str, Any]) -> None:
        worker, handler = slot.worker, slot.handler
        if worker is not None:
            members: dict[str, Any] = {"moved": worker.door, **more}
            if not self._models.is_cached:
                members["once"] = 1
            self._send(line, b"".join([pack(frame.request_id, members) for frame in asked]))
            return
        if handler is None:  # it left in between
            self._reply(line, asked)
            return
        if slot.seat:
            more = {**more, "seat": slot.seat}
        questions = [question_of(frame) for frame in asked]
        with slot.turn:
            answers = answers_of(handler, questions)
        pairs = zip(asked, answers, strict=True)
        self._send(line, b"".join([packed(frame, answer, more) for frame, answer in pairs]))


def _refused(frame: Frame, error: FailedError) -> bytes:
    header: dict[str, Any] = {"status": error.status, "content_type": "text/plain"}
    if error.fault:
        header["fault"] = error.fault
    return pack(frame.request_id, header, str(error).encode())
