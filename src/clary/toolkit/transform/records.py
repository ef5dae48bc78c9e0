r"""Records around a model: filtered before it, joined with its answers and filtered again after it.

    payload ─┬─InputFilter──▶ model ──▶ answer ─┐
             └──────────JoinSource──────────────┴──▶ OutputFilter ──▶ what is written

Source
------
API reference, DataProcessing; developer guide, "Associate Prediction Results with Input Records".
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clary.toolkit.formats.base import MediaType
from clary.toolkit.transform import jsonpath
from clary.toolkit.transform.jsonpath import Path, PathError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CSV, JSONLINES, JSON = "csv", "jsonlines", "json"
KINDS: Mapping[str, str] = {
    "text/csv": CSV,
    "application/json": JSON,
    "application/jsonlines": JSONLINES,
    "application/x-jsonlines": JSONLINES,
    "application/jsonl": JSONLINES,
}
"""Content types whose records can be filtered and joined."""
OUTPUT, INPUT = "SageMakerOutput", "SageMakerInput"
INFERENCE_ID, INFERENCE_TIME = "SageMakerInferenceId", "SageMakerInferenceTime"
_SHORT_SHOWN = 100

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class RecordError(ValueError):
    """Records and answers do not go together; the text is for the customer."""


def kind_of(content_type: str) -> str:
    """Return how records of a content type are read; empty where they cannot be."""
    return KINDS.get(MediaType.parse(content_type).name, "")


@dataclass(frozen=True)
class Processing:
    """What is done to the records of one job."""

    kind: str = ""
    """`csv`, `jsonlines`, `json`, or nothing where records are left alone."""
    is_split: bool = False
    """JSON comes one document a line; else a payload is one document."""
    input_filter: Path = field(default_factory=lambda: jsonpath.parse("$"))
    output_filter: Path = field(default_factory=lambda: jsonpath.parse("$"))
    joins: bool = False
    stamps: Callable[[], Sequence[str]] | None = None
    """Makes what `GenerateInferenceId` adds to each record: an id and a time."""

    @classmethod
    def of(
        cls,
        given: Mapping[str, Any],
        *,
        content_type: str,
        split: str,
        is_stamped: bool = False,
    ) -> Processing:
        """Read `DataProcessing`.

        Raises
        ------
        PathError
            A filter is none.
        """
        return cls(
            kind=kind_of(content_type),
            is_split=split != "None",
            input_filter=jsonpath.parse(given.get("InputFilter")),
            output_filter=jsonpath.parse(given.get("OutputFilter")),
            joins=given.get("JoinSource") == "Input",
            stamps=stamps if is_stamped else None,
        )

    @property
    def asks_as_is(self) -> bool:
        """The model gets payloads as they are."""
        return self.input_filter.is_whole

    @property
    def answers_as_is(self) -> bool:
        """What the model says is written as it is."""
        return not self.joins and self.output_filter.is_whole and self.stamps is None

    def ask(self, payload: bytes) -> bytes:
        """Return what the model is asked.

        Raises
        ------
        RecordError
            A record does not have what the filter selects, or is not of the content type.
        """
        if self.asks_as_is:
            return payload
        if self.kind == CSV:
            return _chosen(lines_of(payload), self.input_filter, "InputFilter")
        documents = [_selected(self.input_filter, each, "InputFilter") for each in self._documents(payload)]
        return self._spelled(documents)

    def answer(self, payload: bytes, answer: bytes) -> bytes:
        """Return what is written for a payload to which the model said `answer`.

        Raises
        ------
        RecordError
            There is not one answer for each record, or the filter asks for what the joined record has not.
        """
        if self.answers_as_is:
            return answer
        return (
            self._answer_rows(payload, answer)
            if self.kind == CSV
            else self._answer_documents(payload, answer)
        )

    def _answer_rows(self, payload: bytes, answer: bytes) -> bytes:
        rows = lines_of(answer)
        if self.joins:
            asked = lines_of(payload)
            _check_counts(len(asked), len(rows))
            rows = [b"%b,%b" % pair for pair in zip(asked, rows, strict=True)]
        if self.stamps is None:
            return _chosen(rows, self.output_filter, "OutputFilter")
        chosen = lines_of(_chosen(rows, self.output_filter, "OutputFilter"))
        return b"".join(b"%b,%b\n" % (row, ",".join(self.stamps()).encode()) for row in chosen)

    def _answer_documents(self, payload: bytes, answer: bytes) -> bytes:
        answers = self._documents(answer, is_output=True)
        documents = answers
        if self.joins:
            asked = self._documents(payload)
            _check_counts(len(asked), len(answers))
            documents = [_joined(*pair) for pair in zip(asked, answers, strict=True)]
        documents = [_selected(self.output_filter, each, "OutputFilter") for each in documents]
        if self.stamps is not None:
            documents = [_stamped(each, self.stamps()) for each in documents]
        return self._spelled(documents)

    @property
    def _is_of_lines(self) -> bool:
        return self.kind == JSONLINES or self.is_split

    def _documents(self, body: bytes, *, is_output: bool = False) -> list[Any]:
        texts = lines_of(body) if self._is_of_lines else [body]
        documents = []
        for number, text in enumerate(texts, 1):
            try:
                documents.append(json.loads(text))
            except ValueError as error:
                what = "output from the algorithm" if is_output else "input"
                raise RecordError(
                    f"Failed to parse {what} as JSON: record {number}, {_shown(text)}: {error}"
                ) from error
        return documents

    def _spelled(self, documents: Sequence[Any]) -> bytes:
        texts = [_encode(each) for each in documents]
        return ("\n".join(texts) + "\n" if self._is_of_lines else "".join(texts)).encode()


def family_of(content_type: str) -> str:
    """Return `csv` or `json` for a content type or kind; empty where it is neither."""
    kind = content_type if content_type in {CSV, JSONLINES, JSON} else kind_of(content_type)
    return JSON if kind == JSONLINES else kind


def lines_of(body: bytes) -> list[bytes]:
    """Return the lines that hold anything, without their ends."""
    lines = body.split(b"\n")
    if b"\r" in body:
        lines = [line.rstrip(b"\r") for line in lines]
    return [line for line in lines if line and not line.isspace()]


def fields_of(line: bytes) -> list[bytes]:
    """Return the fields of a row of CSV as they are written, quotes included."""
    if b'"' not in line:
        return line.split(b",")
    fields, held = [], b""
    for part in line.split(b","):
        held = held + b"," + part if held else part
        if held.count(b'"') % 2 == 0:
            fields.append(held)
            held = b""
    return [*fields, held] if held else fields


def _chosen(lines: Sequence[bytes], path: Path, member: str) -> bytes:
    """Return rows with the columns that a filter selects."""
    if path.is_whole:
        return b"\n".join(lines) + b"\n" if lines else b""
    columns: dict[int, list[int]] = {}
    chosen = []
    for line in lines:
        fields = fields_of(line)
        places = columns.get(len(fields))
        if places is None:
            try:
                places = columns[len(fields)] = path.columns(len(fields))
            except PathError as error:
                raise RecordError(f"{member} {path.text}: {error}: {_shown(line)}") from error
        chosen.append(b",".join([fields[place] for place in places]))
    return b"\n".join(chosen) + b"\n" if chosen else b""


def _selected(path: Path, document: Any, member: str) -> Any:
    try:
        return path.select(document)
    except PathError as error:
        shown = _shown(_encode(document).encode())
        raise RecordError(f"{member} {path.text}: {error}: {shown}") from error


def _joined(asked: Any, answer: Any) -> Any:
    if isinstance(asked, dict):
        return {**asked, OUTPUT: answer}
    return {INPUT: asked, OUTPUT: answer}


def _stamped(document: Any, stamps: Sequence[str]) -> Any:
    known = document if isinstance(document, dict) else {OUTPUT: document}
    return {**known, INFERENCE_ID: stamps[0], INFERENCE_TIME: stamps[1]}


def stamps() -> tuple[str, str]:
    """Return an inference id of its own, and the time."""
    return str(uuid.uuid4()), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _check_counts(n_asked: int, n_answers: int) -> None:
    """Source: the service's own text; the counts are ours."""
    if n_asked != n_answers:
        raise RecordError(
            "Fail to join data: mismatched line count between the input and the output: "
            f"{n_asked} and {n_answers}"
        )


def _shown(text: bytes) -> str:
    shown = text[:_SHORT_SHOWN].decode("utf-8", "replace")
    return f"'{shown}{'...' if len(text) > _SHORT_SHOWN else ''}'"


def assembled(answer: bytes, assemble_with: str) -> bytes:
    r"""Return an answer as it goes into the output: with `Line` it ends with `\n`.

    Notes
    -----
    An answer that ends a line already gets no second end: the output has a line for every record, as the
    documentation has it ("a newline character at the end of every transformed record").
    """
    return answer + b"\n" if assemble_with == "Line" and not answer.endswith(b"\n") else answer
