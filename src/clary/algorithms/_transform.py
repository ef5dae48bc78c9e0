"""The program of a built-in model's batch transform: payloads in, what is written for them out.

    agent ══slots══▶ thread 1 ─▶ filter ─▶ decode ─▶ score ─▶ encode ─▶ join ─┐
                 ══▶ thread 2 ─▶ …                                            └─▶ slot

Reading, splitting and writing objects is the agent's; the model is loaded here, in the sandbox. What comes
out is byte for byte what a replica's answers would have become.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import base
from clary.algorithms._rows import RowPredictor
from clary.algorithms.base import Answer, Question, Refusal
from clary.kernel.errors import CustomerError
from clary.toolkit.transform import columns, split
from clary.toolkit.transform.blocks import Line, Slots
from clary.toolkit.transform.records import Processing, RecordError, assembled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clary.algorithms.base import Predictor

NOT_LOADED = 1
"""Exit code of a program whose model cannot be loaded; the reason is in `failure`."""


def main(arguments: Mapping[str, Any]) -> int:
    """Load the model `arguments["name"]`, then answer on `arguments["socket"]` until the agent hangs up."""
    environ = {**os.environ, "CLARY_IMAGE_VERSION": arguments["version"]}
    try:
        predictor = base.find(arguments["name"]).load(Path(arguments["model_dir"]), environ)
    except (CustomerError, OSError, ImportError) as error:
        reason = str(error) if isinstance(error, CustomerError) else f"{type(error).__name__}: {error}"
        print(f"Unable to load the model: {reason}", file=sys.stderr, flush=True)  # noqa: T201 - the job's log
        Path(arguments["failure"]).write_text(reason[:1024])
        return NOT_LOADED
    scoring = Scoring.of(predictor, arguments)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(arguments["socket"])
        serve(Line(connection), scoring, threads=int(arguments["threads"]))
    return 0


def serve(line: Line, scoring: Scoring, *, threads: int) -> None:
    """Answer payload after payload, as many at once as there are threads, until the other end hangs up."""
    descriptor, header = line.be_introduced()
    slots = Slots(descriptor, header["n_slots"], header["slot_bytes"])
    os.close(descriptor)
    line.send({"n_columns": scoring.n_columns})
    asked: queue.SimpleQueue[tuple[int, int, int] | None] = queue.SimpleQueue()
    lock = threading.Lock()

    def work() -> None:
        while (each := asked.get()) is not None:
            slot, length, n_rows = each
            part = slots.part(slot, length)
            status, body = scoring.answer_rows(part, n_rows) if n_rows else scoring.answer(part)
            fits = len(body) <= slots.slot_bytes
            if fits:
                slots.write(slot, body)
            told = {"slot": slot, "status": status, "length": len(body), "follows": not fits}
            with lock:
                line.send(told, b"" if fits else body)

    pool = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for thread in pool:
        thread.start()
    try:
        while True:
            header = line.receive()
            asked.put((header["slot"], header["length"], header.get("n_rows", 0)))
    except (EOFError, OSError):
        for _ in pool:
            asked.put(None)


class Scoring:
    """A loaded model, and what is done around it."""

    def __init__(
        self,
        predictor: Predictor,
        processing: Processing,
        *,
        content_type: str = "",
        accept: str = "",
        assemble_with: str = "None",
        is_single: bool = False,
    ) -> None:
        self._predictor = predictor
        self._processing = processing
        self._content_type = content_type
        self._accept = accept
        self._assemble_with = assemble_with
        self._is_single = is_single
        self._columnar = Columnar.of(predictor, content_type)

    @classmethod
    def of(cls, predictor: Predictor, arguments: Mapping[str, Any]) -> Scoring:
        """Read the program's arguments."""
        processing = Processing.of(
            arguments["processing"],
            content_type=arguments["content_type"],
            split=arguments["split"],
            is_stamped=arguments["is_stamped"],
        )
        return cls(
            predictor,
            processing,
            content_type=arguments["content_type"],
            accept=arguments["accept"],
            assemble_with=arguments["assemble_with"],
            is_single=arguments["is_single"],
        )

    def answer(self, block: memoryview) -> tuple[int, bytes]:
        """Return a status, and what is written for a block, or why nothing is.

        A block is a payload; with one record a payload, it is a stretch of them.
        """
        body = bytes(block)
        try:
            if not self._is_single:
                return self._finished([body])
            return self._finished(
                list(split.payloads([body], split=split.LINE, strategy=split.SINGLE, limit_bytes=0))
            )
        except RecordError as error:
            return 400, str(error).encode()
        except Exception as error:
            traceback.print_exc()
            return 500, f"{type(error).__name__}: {error}".encode()

    @property
    def n_columns(self) -> int:
        """Columns of rows that may be handed over already read; 0 where only text may."""
        is_plain = self._processing.asks_as_is and self._processing.answers_as_is
        return self._columnar.n_columns if is_plain and self._columnar is not None else 0

    def answer_rows(self, block: memoryview, n_rows: int) -> tuple[int, bytes]:
        """Return a status, and what is written for rows that the agent has read."""
        assert self._columnar is not None
        rows = np.frombuffer(block, np.float32).reshape(n_rows, -1)
        question = Question(body=b"", content_type=self._content_type, accept=self._accept)
        try:
            answers = self._columnar.scored(rows, [question] * (n_rows if self._is_single else 1))
        except Refusal as refusal:
            return refusal.status, refusal.message.encode()
        except Exception as error:
            traceback.print_exc()
            return 500, f"{type(error).__name__}: {error}".encode()
        return 200, b"".join([assembled(each.body, self._assemble_with) for each in answers])

    def _finished(self, payloads: Sequence[bytes]) -> tuple[int, bytes]:
        asked = [self._processing.ask(each) for each in payloads]
        written = []
        for number, (payload, answer) in enumerate(zip(payloads, self._answers(asked), strict=True), 1):
            if not is_good(answer):
                which = b"record %d: " % number if len(payloads) > 1 else b""
                return answer.status, which + answer.body
            done = self._processing.answer(payload, answer.body)
            written.append(assembled(done, self._assemble_with))
        return 200, b"".join(written)

    def _answers(self, bodies: Sequence[bytes]) -> Sequence[Answer] | Iterator[Answer]:
        questions = [
            Question(body=each, content_type=self._content_type, accept=self._accept) for each in bodies
        ]
        if self._columnar is not None:
            answers = self._columnar.answers(questions)
            if answers is not None:
                return answers
        return self._predictor.predict_many(questions)


class Columnar:
    """The way around the parsing of a model of rows: compiled, and checked against the model's own once.

    An algorithm might read its CSV otherwise than as rows of numbers; so a few rows are read both ways first.
    """

    def __init__(self, predictor: RowPredictor, content_type: str) -> None:
        self._predictor = predictor
        self._is_trusted = self._agrees(
            Question(body=columns.probe(predictor.n_features), content_type=content_type)
        )

    @classmethod
    def of(cls, predictor: Predictor, content_type: str) -> Columnar | None:
        """Return the way around a model's parsing; None where there is none."""
        is_readable = columns.is_csv(content_type) and columns.is_available()
        return cls(predictor, content_type) if is_readable and isinstance(predictor, RowPredictor) else None

    def answers(self, questions: Sequence[Question]) -> list[Answer] | None:
        """Return the answers; None where the model must read the questions itself."""
        body = questions[0].body if len(questions) == 1 else b"".join(_ended(each.body) for each in questions)
        if not self._is_trusted or len(body) < columns.WORTH_BYTES:
            return None
        rows = columns.decode(body, self._predictor.n_features)
        if rows is None or (len(questions) > 1 and len(rows) != len(questions)):
            return None
        try:
            return self.scored(rows, questions)
        except Refusal:
            return None

    @property
    def n_columns(self) -> int:
        """Columns of a row, where the model reads rows as we do; else 0."""
        return self._predictor.n_features if self._is_trusted else 0

    def scored(self, rows: Any, questions: Sequence[Question]) -> list[Answer]:
        """Score rows, and answer the one question of them all, or one a row.

        Raises
        ------
        Refusal
            The model cannot take them, or none of what is accepted is its own.
        """
        scores = self._predictor.score(rows)
        if len(questions) == 1:
            return [self._predictor.encode(scores, questions[0])]
        return [self._predictor.encode(scores[n : n + 1], each) for n, each in enumerate(questions)]

    def _agrees(self, probe: Question) -> bool:
        rows = columns.decode(probe.body, self._predictor.n_features)
        try:
            known = self._predictor.decode(probe)
        except (Refusal, ValueError):
            return False
        if rows is None or not isinstance(known, np.ndarray):
            return False
        return (rows.dtype, rows.tobytes()) == (known.dtype, known.tobytes())


def is_good(answer: Answer) -> bool:
    """Tell whether a model answered, and well; the status is 0 where it did not at all."""
    return 0 < answer.status < 400


def _ended(body: bytes) -> bytes:
    return body if body.endswith(b"\n") else body + b"\n"
