"""A replica: one model in one process, answering frames on a unix socket.

    edge 1 ══frames══▶ thread 1 ─┐
    edge 2 ══frames══▶ thread 2 ─┼─▶ handler ─▶ model
    health ══frames══▶ thread 3 ─┘

A connection has a thread, never a request: a blocking `recv` returns all that has arrived, and all of it is
predicted in one call. Under load that batches by itself; a lone request waits for nothing. The socket appears
when the model is loaded; beside it, a moment later, the model as plain arrays, where it has that form.
"""

import contextlib
import os
import signal
import socket as sockets
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any

from clary.algorithms.base import Answer, Question
from clary.kernel.errors import CustomerError
from clary.serving.elastic import turns
from clary.serving.frames import Decoder, Frame, FrameError, pack
from clary.serving.handlers import base
from clary.toolkit import flat

CHUNK_BYTES = 1 << 18
BACKLOG = 64
DRAIN_S = 60.0
"""How long answers may take after SIGTERM. Source: developer guide, 60 s for a container's response."""
IN_PLACE = "CLARY_IN_PLACE"
"""Variable of the container's environment; `false` keeps a built-in model in its replica."""
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
SESSION = "X-Amzn-SageMaker-Session-Id"
PASSED_ON = (
    ("session_id", SESSION),
    ("target_model", "X-Amzn-SageMaker-Target-Model"),
    ("inference_id", "X-Amzn-SageMaker-Inference-Id"),
)
"""Members of a frame that a script or container may ask for, and their names there."""
NOT_LOADED = 1
"""Exit code of a replica whose model cannot be loaded; the reason is the last line of its log."""


class _Drain(Exception):  # noqa: N818 - SIGTERM is no fault
    """SIGTERM came."""


def main(arguments: Mapping[str, Any]) -> int:
    """Run a replica until SIGTERM; `arguments` are those of `serve`."""
    return serve(**arguments)


def serve(
    socket: str, handler: str, name: str, *, version: str = "", model_dir: str = "", failure: str = ""
) -> int:
    """Load a model and answer until SIGTERM; return the exit code.

    Parameters
    ----------
    socket : str
        Path of the unix socket; it appears when the model is loaded.
    handler : str
        `builtin` or `script`.
    name : str
        Algorithm or framework: `xgboost`, `scikit-learn`, `pytorch`.
    version : str
        Tag of the image as asked for; older tags of XGBoost spell CSV otherwise.
    model_dir : str
        Folder of the unpacked model; `/opt/ml/model` if empty.
    failure : str
        File that takes the reason if the model cannot be loaded.
    """
    from clary.serving import crew  # noqa: PLC0415 - it stands on this module

    folder = Path(model_dir or Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "model")
    environ = {**os.environ, "CLARY_IMAGE_VERSION": version}
    device = turns.of(environ)  # before the model: what it takes of the memory is measured from here
    try:
        n_workers = crew.size(environ) if handler == "script" and device is None else 1
    except CustomerError as error:
        _tell_failure(str(error), failure)
        return NOT_LOADED
    if n_workers > 1:
        crew.hold_threads(1)
    model = loaded(handler, name, folder, environ, failure=failure)
    if model is None:
        return NOT_LOADED
    if device is not None:
        turns.fence(device)
        place = getattr(model, "on_device", None)
        if place is not None:
            place(device.bound)
    path = Path(socket).with_suffix(".flat")
    path.unlink(missing_ok=True)

    def ready() -> None:
        if environ.get(IN_PLACE, "true").lower() not in {"false", "0", "no", "off"}:
            threading.Thread(target=export, args=(model, path), daemon=True).start()

    made = Replica(model) if n_workers == 1 else crew.Crew(model, n_workers)
    made.run(Path(socket), ready)
    return 0


def loaded(
    handler: str, name: str, folder: Path, environ: Mapping[str, str], *, failure: str = "", lead: str = ""
) -> base.Handler | None:
    """Load a model; None where it cannot be, which the log and the file `failure` then tell."""
    try:
        return base.load(handler, name, folder, environ)
    except (CustomerError, OSError, ImportError) as error:
        reason = str(error) if isinstance(error, CustomerError) else f"{type(error).__name__}: {error}"
        _tell_failure(f"{lead}{reason}", failure)
        return None


def _tell_failure(reason: str, failure: str) -> None:
    print(f"Unable to load the model: {reason}", file=sys.stderr, flush=True)  # noqa: T201 - the replica's log
    if failure:
        Path(failure).write_text(reason[:1024])


def export(handler: base.Handler, path: Path) -> None:
    """Write the model as plain arrays beside the socket, where it has that form, for edges to answer."""
    make = getattr(handler, "flat", None)
    if make is None:
        return
    try:
        found = make()
        if found is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            flat.write(found, path)
            path.chmod(0o644)
    except Exception:
        traceback.print_exc()  # the replica answers all the same


class Replica:
    """Carries frames between connections and a handler."""

    def __init__(self, handler: base.Handler) -> None:
        self._handler = handler
        self._turn = contextlib.nullcontext() if handler.is_concurrent else threading.Lock()
        self._lines: dict[sockets.socket, threading.Thread] = {}

    def run(self, path: Path, ready: Callable[[], None] = lambda: None) -> None:
        """Listen on `path`, say that it is `ready`, and go on until SIGTERM; then finish what has arrived."""
        signal.signal(signal.SIGTERM, _on_sigterm)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # an edge that goes away ends its connection, not this
        door = _door(path)
        try:
            ready()
            while True:
                line, _ = door.accept()
                thread = threading.Thread(target=self.attend, args=(line,), daemon=True)
                self._lines[line] = thread
                thread.start()
        except _Drain:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        finally:
            path.unlink(missing_ok=True)
            door.close()
            self._drain()

    def _drain(self) -> None:
        deadline = time.monotonic() + DRAIN_S
        lines = dict(self._lines)
        for line in lines:
            with contextlib.suppress(OSError):
                line.shutdown(sockets.SHUT_RD)  # what has arrived can still be read, then the stream ends
        for thread in lines.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def attend(self, line: sockets.socket) -> None:
        """Serve one connection until it ends, in a thread of its own."""
        decoder = Decoder()
        with line:
            try:
                while chunk := line.recv(CHUNK_BYTES):
                    frames = decoder.feed(chunk)
                    if frames:
                        self._reply(line, frames)
            except FrameError as error:
                print(f"A connection was closed: {error}", file=sys.stderr, flush=True)  # noqa: T201 - the log
            except OSError:
                pass  # the other side is gone, and with it whoever wanted the answers
            self._rest(line)
        self._lines.pop(line, None)

    def _rest(self, line: sockets.socket) -> None:
        """Hear that a connection asks no more, before it is closed."""

    def _reply(self, line: sockets.socket, frames: Sequence[Frame]) -> None:
        """Answer all frames of one turn."""
        asked = []
        for frame in frames:
            if frame.header.get("ping"):
                line.sendall(pack(frame.request_id, {"status": 200}))
            else:
                asked.append(frame)
        if not asked:
            return
        questions = [question_of(frame) for frame in asked]
        with self._turn:
            answers = answers_of(self._handler, questions)
            line.sendall(b"".join([packed(*pair) for pair in zip(asked, answers, strict=True)]))
            for frame, answer in zip(asked, answers, strict=True):
                if answer.parts is not None:
                    _stream(line, frame, answer)


def answers_of(handler: base.Handler, questions: Sequence[Question]) -> list[Answer]:
    """Ask a handler; if it fails with several questions, ask one by one to find the culprit."""
    try:
        return handler.answer_many(questions)
    except base.GoneError:
        raise  # the connection ends, and the edge asks another replica
    except BaseException as error:
        if len(questions) > 1:
            return [answers_of(handler, [question])[0] for question in questions]
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        return [Answer(message.encode(), "text/plain; charset=utf-8", 500)]


def question_of(frame: Frame) -> Question:
    """Return what a frame asks."""
    header = frame.header
    return Question(
        body=frame.body,
        content_type=header.get("content_type", ""),
        accept=header.get("accept", ""),
        attributes=header.get("attributes", ""),
        headers={name: header[member] for member, name in PASSED_ON if member in header},
        takes_parts=header.get("stream", False),
    )


def _stream(line: sockets.socket, frame: Frame, answer: Answer) -> None:
    """Send the parts of an answer as the model makes them."""
    assert answer.parts is not None
    try:
        for part in answer.parts:
            if part:
                line.sendall(pack(frame.request_id, {"more": True}, part))
    except OSError:
        raise
    except BaseException as error:
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}"
        line.sendall(pack(frame.request_id, {"error": True}, text.encode()))
    else:
        line.sendall(pack(frame.request_id, {}))


def packed(frame: Frame, answer: Answer, more: Mapping[str, Any] = MappingProxyType({})) -> bytes:
    """Return an answer as it goes out, with `more` members in its header."""
    header: dict[str, Any] = {"status": answer.status, **more}
    if answer.parts is not None:
        header["more"] = True
    if answer.content_type:
        header["content_type"] = answer.content_type
    for name, value in answer.headers.items():
        if name.lower() == ATTRIBUTES:
            header["attributes"] = value
        else:
            header.setdefault("headers", {})[name] = value
    header.update(getattr(answer, "told", ()))
    try:
        return pack(frame.request_id, header, answer.body)
    except FrameError as error:
        return pack(frame.request_id, {"status": 500, "content_type": "text/plain"}, str(error).encode())


def _door(path: Path) -> sockets.socket:
    """Listen on `path`; the name appears when connections are taken."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    draft.unlink(missing_ok=True)
    door = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    door.bind(str(draft))
    door.listen(BACKLOG)
    draft.replace(path)
    return door


def _on_sigterm(_number: int, _frame: FrameType | None) -> None:
    raise _Drain
