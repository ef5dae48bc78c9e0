"""A container and the process of ours before it, as one program: what ends either ends both.

frames ═▶ bridge (`serving/handlers/container.py`) ──HTTP──▶ container
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from clary.compute.agent.execute import Executor
from clary.compute.agent.logs import Pump
from clary.compute.invocations import ADDRESS
from clary.compute.runners.base import Exit, Program, Running

LOOK_EVERY_S = 0.02


class Bridged:
    """Two programs that live and die together; its exit is the container's."""

    address = ""

    def __init__(self, container: Running, bridge: Running) -> None:
        self.pid = container.pid
        self._container = container
        self._bridge = bridge
        self._signalled: int | None = None
        self._is_passed_on = False

    def wait(self, timeout_s: float | None = None) -> Exit | None:
        """Wait for the end of either; a bridge that was told to end has answered all, then the other may."""
        until = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        while True:
            if (exit_ := self._container.wait(0)) is not None:
                return exit_
            if (exit_ := self._bridge.wait(0)) is not None:
                if self._signalled is None:
                    return exit_
                if not self._is_passed_on:
                    self._is_passed_on = True
                    self._container.signal(self._signalled)
            left = until - time.monotonic()
            if left <= 0:
                return None
            self._container.wait(min(LOOK_EVERY_S, left))

    def signal(self, number: int) -> None:
        """Tell the bridge to finish; the container hears of it when that is done."""
        self._signalled = number
        if number == signal.SIGKILL:
            self._container.signal(number)
        self._bridge.signal(number)

    def kill(self) -> None:
        """Kill both."""
        self._container.kill()
        self._bridge.kill()

    def memory_bytes(self) -> int:
        """Return what both use."""
        return self._container.memory_bytes() + self._bridge.memory_bytes()

    def close(self) -> None:
        """Leave nothing."""
        self._bridge.close()
        self._container.close()


@contextmanager
def running(executor: Executor, container: Program, bridge: Program) -> Iterator[tuple[Running, Pump]]:
    """Run a container with its bridge; what the container writes is what is read."""
    with executor.running(container) as (inner, pump):
        told = replace(bridge, environment={**bridge.environment, ADDRESS: inner.address})
        with executor.running(told) as (outer, _):
            yield Bridged(inner, outer), pump
