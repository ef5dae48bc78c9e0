"""An inference pipeline: each container's answer is the next one's question.

    edge ══frames══▶ head: stage 1, stage 2 ══frames══▶ next process: stage 3 …
                     └ one script, and built-in models around it: the agent says which share a process

The head is a replica like any other: edges, batches and asynchronous invocations ask it, and know no more.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clary.algorithms.base import Answer, Question
from clary.serving import replica
from clary.serving.frames import MAX_FRAME_BYTES
from clary.serving.handlers import base
from clary.serving.link import Link
from clary.serving.patience import Patient

MOST_BYTES = MAX_FRAME_BYTES - 0x20000
"""Of one answer: what a frame holds beside its header."""


@dataclass(frozen=True, slots=True)
class Told(Answer):
    """An answer with what the edge wants to know beside it."""

    told: Mapping[str, Any] = field(default_factory=dict)
    """Members of the frame's header: `container`, whose fault it is; `times`, microseconds by container."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One container in this process."""

    name: str
    handler: base.Handler
    lock: contextlib.AbstractContextManager[Any]

    @classmethod
    def of(cls, name: str, handler: base.Handler) -> "Stage":
        """Return a stage that asks its handler as the handler may be asked."""
        lock = contextlib.nullcontext() if handler.is_concurrent else threading.Lock()
        return cls(name, handler, lock)


class Pipeline:
    """Stages of this process, and the process that follows.

    Source: developer guide, "Run real-time predictions with an inference pipeline": a container gets body and
    content type of the answer before; `Accept` is the last one's alone. Custom attributes reach every
    container, and the last that one sets go back.
    """

    is_concurrent = True

    def __init__(self, stages: Sequence[Stage], following: Link | None = None) -> None:
        self._stages = stages
        self._following = following

    def answer_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Pass all questions through one stage after the other; who is refused goes no further."""
        ways = [_Way(question) for question in questions]
        last = self._stages[-1] if self._following is None else None
        for stage in self._stages:
            going = [way for way in ways if way.answer is None]
            if going:
                with stage.lock:
                    self._pass(stage, going, is_last=stage is last)
        going = [way for way in ways if way.answer is None]
        if going and self._following is not None:
            answers = self._following.ask([way.question(is_last=True) for way in going])
            for way, (header, answer) in zip(going, answers, strict=True):
                way.ended_elsewhere(header, answer)
        return [way.told() for way in ways]

    def _pass(self, stage: Stage, going: "Sequence[_Way]", *, is_last: bool) -> None:
        begun = time.perf_counter()
        answers = replica.answers_of(stage.handler, [way.question(is_last=is_last) for way in going])
        took_us = round((time.perf_counter() - begun) * 1e6)
        for way, answer in zip(going, answers, strict=True):
            way.passed(stage.name, answer, took_us, is_last=is_last)


class _Way:
    """One question on its way through the containers."""

    __slots__ = ("_attributes", "_body", "_content_type", "_given", "_times", "_told", "answer")

    def __init__(self, given: Question) -> None:
        self._given = given
        self._body = given.body
        self._content_type = given.content_type
        self._attributes = ""
        self._times: list[int] = []
        self._told: dict[str, Any] = {}
        self.answer: Answer | None = None

    def question(self, *, is_last: bool) -> Question:
        """Return what the next container is asked."""
        asked = replace(self._given, body=self._body, content_type=self._content_type)
        return asked if is_last else replace(asked, accept="", takes_parts=False)

    def passed(self, name: str, answer: Answer, took_us: int, *, is_last: bool) -> None:
        """Take a container's answer."""
        self._times.append(took_us)
        if len(answer.body) > MOST_BYTES:
            text = f"the container's answer of {len(answer.body)} bytes is more than {MOST_BYTES}"
            answer = Answer(text.encode(), "text/plain", 500)
        if not 0 < answer.status < 400:
            self._told["container"] = name
            self.answer = answer
            return
        for header, value in answer.headers.items():
            if header.lower() == replica.ATTRIBUTES:
                self._attributes = value
        if is_last:
            self.answer = answer
        else:
            self._body, self._content_type = answer.body, answer.content_type or self._content_type

    def ended_elsewhere(self, header: Mapping[str, Any], answer: Answer) -> None:
        """Take the answer of the process that follows."""
        self._times += header.get("times", ())
        if "container" in header:
            self._told["container"] = header["container"]
        self.answer = answer

    def told(self) -> Answer:
        """Return the answer as it goes to the edge."""
        answer = self.answer
        assert answer is not None
        headers = dict(answer.headers)
        if self._attributes and not any(name.lower() == replica.ATTRIBUTES for name in headers):
            headers[replica.ATTRIBUTES] = self._attributes
        told = {**self._told, "times": self._times}
        return Told(answer.body, answer.content_type, answer.status, headers, answer.parts, told)


def main(arguments: Mapping[str, Any]) -> int:
    """Run one process of a pipeline until SIGTERM.

    Parameters
    ----------
    arguments : mapping
        `socket`; `failure`, the file that takes why a model cannot be loaded; `following`, the socket of the
        next process, or nothing; `stages`, each with `container`, `handler`, `name`, `version`, `model_dir`
        and, where it is not that of this process, `environment`; `patience`, with which scripts are asked
        (`retries`, `timeout_s`), where a batch asks.
    """
    stages = loaded(arguments)
    if stages is None:
        return replica.NOT_LOADED
    replica.Replica(Pipeline(stages, following(arguments))).run(Path(arguments["socket"]))
    return 0


def loaded(
    arguments: Mapping[str, Any], made: Callable[[base.Handler], base.Handler] | None = None
) -> list[Stage] | None:
    """Load the stages of a process as `main` is told of them; None where one cannot be.

    Parameters
    ----------
    made : callable, optional
        Makes of each container's handler the one that is asked.
    """
    stages: list[Stage] = []
    for each in arguments["stages"]:
        environ = each.get("environment", os.environ)
        handler = replica.loaded(
            each["handler"],
            each["name"],
            Path(each["model_dir"]),
            {**environ, "CLARY_IMAGE_VERSION": each["version"]},
            failure=arguments["failure"],
            lead=f"{each['container']}: ",
        )
        if handler is None:
            return None
        if arguments.get("patience") and each["handler"] == "script":
            handler = Patient(handler, **arguments["patience"])
        stages.append(Stage.of(each["container"], made(handler) if made is not None else handler))
    return stages


def following(arguments: Mapping[str, Any]) -> Link | None:
    """Return the way to the next process, where there is one."""
    return Link(arguments["following"]) if arguments.get("following") else None
