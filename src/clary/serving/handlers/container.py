"""A container behind a process of ours: where a row, or one of many models, is asked in frames.

frames ─▶ this handler ─▶ POST /invocations, or /models/<name>/invoke ─▶ container
"""

import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

from clary.algorithms.base import Answer, Question
from clary.compute.invocations import ADDRESS, INVOKE, Line, is_well
from clary.kernel.errors import CustomerError
from clary.serving.handlers.base import GoneError

TIMEOUT_S = 60.0
"""For one answer. Source: developer guide, how containers should respond to inference requests."""
BATCH_TIMEOUT_S = 3600.0
"""Source: API reference, ModelClientConfig, the longest `InvocationsTimeoutInSeconds`."""
LOAD_S = 600.0
PING_S = 2.0
LINES = 32
"""Questions that one call asks at a time."""
_FULL, _LOADED = 507, 409
"""Source: developer guide, "Build your own container for multi-model endpoints": Load Model API."""
_OURS = "x-amzn-sagemaker-"


def load(_name: str, model_dir: Path, environ: Mapping[str, str]) -> "Container":
    """Return a container that is well; one of many models, once it has loaded the model of that folder.

    Raises
    ------
    CustomerError
        It does not get well, or will not load the model.
    MemoryError
        It has no memory for a further model.
    """
    address = environ[ADDRESS]
    timeout_s = BATCH_TIMEOUT_S if environ.get("SAGEMAKER_BATCH") else TIMEOUT_S
    if environ.get("SAGEMAKER_MULTI_MODEL", "").lower() != "true":
        await_well(address)
        return Container(address, timeout_s)
    name = model_dir.parent.name
    line = Line(address, LOAD_S)
    try:
        body = json.dumps({"model_name": name, "url": str(model_dir)}).encode()
        status, _, said = line.ask("POST", "/models", body, {"Content-Type": "application/json"})
    except OSError as error:
        raise CustomerError(f"the container does not answer POST /models: {error}") from error
    finally:
        line.close()
    if status == _FULL:
        raise MemoryError(said.decode(errors="replace"))
    if status >= 400 and status != _LOADED:
        raise CustomerError(f"POST /models answered {status}: {said[:400].decode(errors='replace')}")
    return Model(address, timeout_s, name)


def await_well(address: str) -> None:
    """Wait until a container answers its health check; whoever waits for this process has the limit."""
    while True:
        try:
            if not is_well(address, PING_S):
                return
        except OSError:
            pass
        time.sleep(0.05)


class Container:
    """A container that is asked at one path."""

    is_concurrent = True

    def __init__(self, address: str, timeout_s: float, path: str = INVOKE) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._path = path
        self._idle: list[Line] = []
        self._lock = threading.Lock()

    def answer_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Ask all questions, several at a time."""
        if len(questions) == 1:
            return [self._answer(questions[0])]
        with ThreadPoolExecutor(min(len(questions), LINES), "question") as pool:
            return list(pool.map(self._answer, questions))

    def _answer(self, question: Question) -> Answer:
        with self._lock:
            line = self._idle.pop() if self._idle else Line(self._address, self._timeout_s)
        headers = _headers(question)
        try:
            if question.takes_parts:
                status, told, pieces = line.parts(self._path, question.body, headers)
                if status < 400:
                    return _made(status, told, b"", pieces)
                return _made(status, told, b"".join(pieces))
            status, told, body = line.ask("POST", self._path, question.body, headers)
        except TimeoutError:
            line.close()
            text = f"the container did not answer within {self._timeout_s:.0f} s"
            return Answer(text.encode(), "text/plain", 504)
        except OSError as error:
            line.close()
            raise GoneError(f"the container went away: {error}") from error
        with self._lock:
            self._idle.append(line)
        return _made(status, told, body)


class Model(Container):
    """One of the models that a container has loaded."""

    def __init__(self, address: str, timeout_s: float, name: str) -> None:
        self._name = quote(name, safe="")
        super().__init__(address, timeout_s, f"/models/{self._name}/invoke")

    def unload(self) -> None:
        """Have the container forget it."""
        line = Line(self._address, TIMEOUT_S)
        try:
            line.ask("DELETE", f"/models/{self._name}")
        except (OSError, http.client.HTTPException):
            pass  # the container is gone, and the model with it
        finally:
            line.close()


def _headers(question: Question) -> dict[str, str]:
    named = {
        "Content-Type": question.content_type,
        "Accept": question.accept,
        "X-Amzn-SageMaker-Custom-Attributes": question.attributes,
        **question.headers,
    }
    return {name: value for name, value in named.items() if value}


def _made(status: int, told: Mapping[str, str], body: bytes, parts: Iterator[bytes] | None = None) -> Answer:
    headers = {name: value for name, value in told.items() if name.startswith(_OURS)}
    return Answer(body, told.get("content-type", ""), 200 if status == 204 else status, headers, parts)
