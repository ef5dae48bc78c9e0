"""Metrics of a program's lines, searched where a search that never ends can be interrupted.

pump's thread ──put──▶ lines ──drain, in the main thread──▶ metrics

A regular expression holds the interpreter while it works, and only the main thread looks at signals then.
So lines wait for it, and a timer of the process's own CPU time ends what takes too long.
"""

import re
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import FrameType

from clary.toolkit.metrics import Scraper, TooSlowError

LONGEST_SEARCH_S = 0.25
"""CPU time of one expression on one line. A good one takes microseconds."""
TURN_S = 0.05
"""How long one `drain` keeps the main thread from its other work."""
LAST_TURN_S = 30.0
"""How long an ended program's job waits for its last metrics."""
WAITING_LINES = 20_000
"""Beyond so many the program waits in its own writes."""
_PATIENCE_S = 0.5

Take = Callable[[str, int, float], None]
"""Takes a metric: name, milliseconds since 1970, value."""


class MetricScraper:
    """Finds metrics in the lines of one program.

    Parameters
    ----------
    definitions : iterable of mapping
        `MetricDefinitions`, each a valid expression.
    take : callable
        Gets what is found.
    say : callable
        Gets a line for the job's log: why an expression was given up.
    """

    def __init__(
        self, definitions: Iterable[Mapping[str, str]], take: Take, say: Callable[[str], None]
    ) -> None:
        self._scraper = Scraper(definitions, search=_search, given_up=lambda name: say(_why(name)))
        self._take = take
        self._say = say
        self._lines: deque[tuple[int, str]] = deque()
        self._has_room = threading.Condition()
        self._is_ending = False

    def put(self, ms: int, text: str) -> None:
        """Leave a line; from any thread. Waits while far too many are left."""
        if not self._scraper:
            return
        with self._has_room:
            while len(self._lines) >= WAITING_LINES and not self._is_ending:
                self._has_room.wait(_PATIENCE_S)
            self._lines.append((ms, text))

    def begin(self) -> None:
        """Take the lines of another program."""
        self._is_ending = False

    def end(self) -> None:
        """Let nobody wait any more: whoever drains will wait for the one who writes."""
        with self._has_room:
            self._is_ending = True
            self._has_room.notify_all()

    def finish(self) -> None:
        """Search what is left, within reason; the program must have ended."""
        self.drain(LAST_TURN_S)
        if self._lines:
            self._say(
                f"[clary] metrics: the last {len(self._lines)} lines were not searched; that took too long"
            )
            self._lines.clear()

    def drain(self, for_s: float = TURN_S) -> bool:
        """Search the lines that wait, for at most about `for_s`; say whether some are left."""
        until = time.monotonic() + for_s
        while self._lines:
            ms, text = self._lines.popleft()
            for name, value in self._scraper.scrape(text):
                self._take(name, ms, value)
            if time.monotonic() > until:
                break
        with self._has_room:
            self._has_room.notify_all()
        return bool(self._lines)


def _why(name: str) -> str:
    return (
        f'[clary] the regular expression of metric "{name}" is given up: on several lines it took more '
        f"than {LONGEST_SEARCH_S:g} s; nested repetitions, as in (a+)+, take ever longer"
    )


def _search(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Search `text`, for at most `LONGEST_SEARCH_S` in the main thread.

    Raises
    ------
    TooSlowError
        It takes longer.
    """
    if threading.current_thread() is not threading.main_thread():
        return pattern.search(text)
    before = signal.signal(signal.SIGVTALRM, _too_slow)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_SEARCH_S)
        try:
            return pattern.search(text)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    finally:
        signal.signal(signal.SIGVTALRM, before)


def _too_slow(_number: int, _frame: FrameType | None) -> None:
    raise TooSlowError
