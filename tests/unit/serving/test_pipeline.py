"""Pipelines: containers in one process, and processes one behind the other."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.algorithms.base import Answer, Question
from clary.serving.frames import pack
from clary.serving.handlers.base import GoneError
from clary.serving.link import Link
from clary.serving.pipeline import Pipeline, Stage, Told
from clary.serving.replica import ATTRIBUTES, Replica


class Adding:
    """Adds its word to a question, and keeps what it was asked; refuses some, fails over others."""

    is_concurrent = False

    def __init__(self, word: bytes, *, parts: bool = False, says: str = "") -> None:
        self.word = word
        self.parts = parts
        self.says = says
        self.asked: list[Question] = []

    def answer_many(self, questions: Any) -> list[Answer]:
        self.asked += questions
        if any(question.body.endswith(b"fail") for question in questions):
            raise ValueError(f"{self.word.decode()} cannot")
        return [self.answer(question) for question in questions]

    def answer(self, question: Question) -> Answer:
        if question.body == b"refuse":
            return Answer(b"no", "text/plain", 415)
        headers = {ATTRIBUTES.title(): self.says} if self.says else {}
        kind = f"text/{self.word.decode()}"
        if self.parts and question.takes_parts:
            return Answer(question.body, kind, parts=iter([self.word, self.word]))
        return Answer(question.body + self.word, kind, headers=headers)


def pipeline(*handlers: Any, following: Link | None = None) -> Pipeline:
    return Pipeline([Stage.of(f"c{n}", each) for n, each in enumerate(handlers, 1)], following)


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Any]:
    """Serve a pipeline at a socket, as a process of its own does."""
    doors: list[socket.socket] = []

    def serve(*handlers: Any, name: str = "next.sock") -> Link:
        stages = [Stage.of(f"d{n}", each) for n, each in enumerate(handlers, 1)]
        replica = Replica(Pipeline(stages))
        door = socket.socket(socket.AF_UNIX)
        door.bind(str(tmp_path / name))
        door.listen()
        doors.append(door)

        def run() -> None:
            while True:
                try:
                    line, _ = door.accept()
                except OSError:
                    return
                threading.Thread(target=replica.attend, args=(line,), daemon=True).start()

        threading.Thread(target=run, daemon=True).start()
        return Link(str(tmp_path / name))

    yield serve
    for door in doors:
        door.shutdown(socket.SHUT_RDWR)
        door.close()


def test_an_answer_and_its_type_are_the_next_containers_question() -> None:
    first, second, third = Adding(b"1"), Adding(b"2"), Adding(b"3")
    (answer,) = pipeline(first, second, third).answer_many(
        [Question(body=b"x", content_type="text/csv", accept="text/plain", attributes="mine")]
    )
    assert (answer.body, answer.content_type, answer.status) == (b"x123", "text/3", 200)
    assert [each.asked[0].content_type for each in (first, second, third)] == ["text/csv", "text/1", "text/2"]
    assert [each.asked[0].accept for each in (first, second, third)] == ["", "", "text/plain"]
    assert [each.asked[0].attributes for each in (first, second, third)] == ["mine"] * 3
    assert isinstance(answer, Told)
    assert len(answer.told["times"]) == 3


def test_a_refusal_ends_the_way_of_its_question_alone_and_names_the_container() -> None:
    last = Adding(b"2")
    answers = pipeline(Adding(b"1"), last).answer_many(
        [Question(body=b"a"), Question(body=b"refuse"), Question(body=b"fail"), Question(body=b"b")]
    )
    assert [each.status for each in answers] == [200, 415, 500, 200]
    assert [each.told.get("container") for each in answers if isinstance(each, Told)] == [
        None, "c1", "c1", None,
    ]  # fmt: skip
    assert answers[2].body == b"ValueError: 1 cannot"
    assert [each.body for each in last.asked] == [b"a1", b"b1"]


def test_the_last_custom_attributes_that_a_container_sets_go_back() -> None:
    handlers = Adding(b"1", says="one"), Adding(b"2", says="two"), Adding(b"3")
    (answer,) = pipeline(*handlers).answer_many([Question(body=b"x")])
    assert answer.headers == {ATTRIBUTES: "two"}


def test_a_process_behind_another_answers_the_same(behind: Any) -> None:
    link = behind(Adding(b"3"), Adding(b"4"))
    head = pipeline(Adding(b"1"), Adding(b"2"), following=link)
    questions = [Question(body=body, accept="x/y") for body in (b"a", b"refuse", b"b")]
    for _ in range(2):  # the second time on the same connection
        answers = head.answer_many(questions)
        assert [each.body for each in answers] == [b"a1234", b"no", b"b1234"]
    assert len(answers[0].told["times"]) == 4  # type: ignore[attr-defined]


def test_a_fault_of_a_process_behind_names_its_container(behind: Any) -> None:
    class Failing(Adding):
        def answer(self, question: Question) -> Answer:
            raise ValueError("not today")

    (answer,) = pipeline(Adding(b"1"), following=behind(Adding(b"2"), Failing(b"3"))).answer_many(
        [Question(body=b"x")]
    )
    assert isinstance(answer, Told)
    assert (answer.status, answer.told["container"]) == (500, "d2")
    assert answer.body == b"ValueError: not today"


def test_large_questions_do_not_lock_two_processes_against_each_other(behind: Any) -> None:
    head = pipeline(Adding(b"1"), following=behind(Adding(b"2")))
    bodies = [bytes([65 + n]) * 3_000_000 for n in range(8)]
    answers = head.answer_many([Question(body=body) for body in bodies])
    assert [each.body for each in answers] == [body + b"12" for body in bodies]


def test_the_last_container_may_answer_in_parts_whichever_process_it_is_in(behind: Any) -> None:
    for head in (
        pipeline(Adding(b"1"), Adding(b"2", parts=True)),
        pipeline(Adding(b"1"), following=behind(Adding(b"2", parts=True))),
    ):
        (answer,) = head.answer_many([Question(body=b"x", takes_parts=True)])
        assert answer.parts is not None
        assert answer.body + b"".join(answer.parts) == b"x122"


def test_a_process_that_went_away_is_told_as_such(tmp_path: Path) -> None:
    head = pipeline(Adding(b"1"), following=Link(str(tmp_path / "nobody.sock")))
    with pytest.raises(GoneError, match="the next container went away"):
        head.answer_many([Question(body=b"x")])
    here, there = socket.socketpair()
    thread = threading.Thread(target=Replica(head).attend, args=(there,))
    thread.start()

    here.sendall(pack(1, {}, b"x"))
    assert here.recv(100) == b""  # no answer: the edge asks another replica
    thread.join()
    here.close()
