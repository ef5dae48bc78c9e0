"""Asking a script as a batch asks it: again where it fails, and only so long."""

import queue
import threading
import time
from collections.abc import Sequence

from clary.algorithms.base import Answer, Question
from clary.serving import replica
from clary.serving.handlers.base import Handler

NO_ANSWER = 0
"""Status of an answer that did not come."""
_PAUSE_S = 0.2
"""Before the second try; longer each time."""


class Patient:
    """A handler that is asked again by `ModelClientConfig`.

    Parameters
    ----------
    retries : int
        How often a question is asked again whose answer says that the model failed, or did not come. What
        the model refuses, stands.
    timeout_s : float
        For one answer. The script goes on; whoever asks next waits for it, and as long.

    Source: API reference, ModelClientConfig.
    """

    is_concurrent = False

    def __init__(self, handler: Handler, *, retries: int, timeout_s: float) -> None:
        self._handler = handler
        self._retries = retries
        self._timeout_s = timeout_s
        self._asked: queue.SimpleQueue[tuple[Sequence[Question], queue.SimpleQueue[list[Answer]]]]
        self._asked = queue.SimpleQueue()
        threading.Thread(target=self._work, name="script", daemon=True).start()

    def answer_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer every question, in order."""
        answers = self._once(questions)
        for attempt in range(1, self._retries + 1):
            again = [place for place, answer in enumerate(answers) if _has_failed(answer)]
            if not again:
                break
            time.sleep(_PAUSE_S * attempt)
            for place, answer in zip(again, self._once([questions[place] for place in again]), strict=True):
                answers[place] = answer
        return answers

    def _once(self, questions: Sequence[Question]) -> list[Answer]:
        found: queue.SimpleQueue[list[Answer]] = queue.SimpleQueue()
        self._asked.put((questions, found))
        try:
            return found.get(timeout=self._timeout_s * len(questions))
        except queue.Empty:
            return [Answer(b"timed out", "text/plain", NO_ANSWER)] * len(questions)

    def _work(self) -> None:
        while True:
            questions, found = self._asked.get()
            found.put(replica.answers_of(self._handler, questions))


def _has_failed(answer: Answer) -> bool:
    return answer.status >= 500 or answer.status == NO_ANSWER
