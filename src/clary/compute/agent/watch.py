"""What may come between a host and its work: a stop that somebody asked for, and the end of its time."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import TypeVar

from clary.compute.agent.host import Host, Stop
from clary.compute.base import Outcome
from clary.compute.runners.base import Exit, Running

LOOK_EVERY_S = 0.1
"""How often `stop.json` is looked for; SIGTERM makes no wait shorter, it only stands for a missing file."""
GRACE_S = 120.0
"""From SIGTERM to SIGKILL when the time is over. Source: API reference, StopTrainingJob."""

_T = TypeVar("_T")


class InterruptionError(Exception):
    """A stop came in the middle of something that can be dropped."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.value)
        self.outcome = outcome


@dataclass(frozen=True)
class Ending:
    """How a program ended, and what was asked meanwhile."""

    exit: Exit
    outcome: Outcome | None = None
    """Of a stop, or `out_of_time`; None where the program ended by itself."""


class Watch:
    """Looks for stops while the host works. Made in the main thread, where signals arrive."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._is_told = False
        self._stop: Stop | None = None
        self._deadline = float("inf")
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: object) -> None:
        self._is_told = True

    @property
    def kill_at(self) -> float:
        """Moment, on the monotonic clock, at which a stop's patience ends."""
        self.look()
        return self._deadline

    def look(self) -> Stop | None:
        """Return the stop that is asked for, if one is; a second one may only shorten the grace."""
        asked = self._host.stop_request() or (Stop() if self._is_told else None)
        if asked is None or asked == self._stop:
            return self._stop
        if self._stop is None:
            self._stop = asked
        self._deadline = min(self._deadline, time.monotonic() + asked.grace_s)
        return self._stop

    def during(self, work: Callable[[], _T], cancel: Callable[[], None]) -> _T:
        """Do `work` in a thread; on a stop call `cancel`, wait for the thread and raise.

        Raises
        ------
        InterruptionError
            A stop was asked for before the work was done.
        """
        done: Future[_T] = Future()

        def do() -> None:
            try:
                done.set_result(work())
            except BaseException as error:
                done.set_exception(error)

        if (stop := self.look()) is not None:
            raise InterruptionError(stop.outcome)
        thread = threading.Thread(target=do, name="work", daemon=True)
        thread.start()
        while True:
            try:
                return done.result(LOOK_EVERY_S)
            except FutureTimeout:
                if done.done():  # the work's own, or it ended just now
                    return done.result()
            if (stop := self.look()) is not None:
                cancel()
                with contextlib.suppress(Exception):
                    done.result()
                raise InterruptionError(stop.outcome)

    def until_exit(
        self,
        running: Running,
        *,
        limit_s: float = float("inf"),
        between: Callable[[], bool] = lambda: False,
    ) -> Ending:
        """Wait for the program; end it when asked to or when `limit_s` has passed.

        SIGTERM first, SIGKILL when the grace is over.

        Parameters
        ----------
        between : callable
            Called between two looks; says whether it has more to do and would rather not wait.
        """
        ends_at = time.monotonic() + limit_s
        kill_at = float("inf")
        outcome: Outcome | None = None
        is_killed = False
        while True:
            now = time.monotonic()
            wait_s = 0.0 if between() else max(0.0, min(LOOK_EVERY_S, ends_at - now, kill_at - now))
            exit_ = running.wait(wait_s)
            if exit_ is not None:
                return Ending(exit_, outcome)
            stop = self.look()
            now = time.monotonic()
            if stop is not None:
                kill_at = min(kill_at, self._deadline)
            if outcome is None and (stop is not None or now >= ends_at):
                outcome = stop.outcome if stop is not None else Outcome.OUT_OF_TIME
                if stop is None:
                    kill_at = now + GRACE_S
                ends_at = float("inf")
                running.signal(signal.SIGTERM)
            if now >= kill_at and not is_killed:
                is_killed = True
                kill_at = float("inf")
                running.kill()
