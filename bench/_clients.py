"""Clients for bench/load.py, in a process of their own: they ask at a pace, and write down every outcome.

    python -m bench._clients PLAN OUT

PLAN is JSON (see `main`). OUT gets arrays, a member for every request that was sent: `endpoint`, `row`,
`sent` and `done` (monotonic seconds), and `outcome`: the version of the model that answered, or one of the
negative numbers below. Beside it, with `.errors`: time, endpoint, and text of each that was not answered.
"""

import asyncio
import json
import re
import sys
import time
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from bench._drive import signed

from clary.testing.server import Account

REFUSED, BROKEN, SILENT, WRONG = -1, -2, -3, -4
"""An error; the connection ended; nothing came in time; an answer that no version gives to this row."""
SILENT_S = 75.0
"""The service itself gives up after 60."""
SIGNED_S = 120.0
"""Requests are signed anew after so long."""
STEP = 10.0
"""Between what one version says of a row, and the next."""
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_NUMBER = re.compile(rb"-?\d+\.?\d*(?:e[+-]?\d+)?")


@dataclass(frozen=True)
class Target:
    """One endpoint, as its clients know it."""

    name: str
    bodies: list[str]
    says: list[float]
    """What version 0 says of each body; version v says `v * STEP` more."""
    n_lines: int
    rate: float
    """Requests a second, of all lines together."""
    n_versions: int = 4

    def version(self, row: int, answer: bytes) -> int:
        """Return which version answered a row so; `WRONG` if none does."""
        numbers = _NUMBER.findall(answer)
        if not numbers:
            return WRONG
        found = (float(numbers[-1]) - self.says[row]) / STEP
        version = round(found)
        return version if 0 <= version < self.n_versions and abs(found - version) < 1e-3 else WRONG


class Notes:
    """What became of every request."""

    def __init__(self) -> None:
        self.endpoint, self.row, self.outcome = array("h"), array("h"), array("h")
        self.sent, self.done = array("d"), array("d")
        self.errors: list[tuple[float, str, str]] = []

    def add(self, endpoint: int, row: int, sent: float, outcome: int) -> None:
        """Note one request."""
        self.endpoint.append(endpoint)
        self.row.append(row)
        self.outcome.append(outcome)
        self.sent.append(sent)
        self.done.append(time.monotonic())

    def write(self, path: Path) -> None:
        """Write all of it."""
        arrays: dict[str, Any] = {name: np.array(getattr(self, name)) for name in _ARRAYS}
        np.savez(path, **arrays)
        path.with_suffix(".errors").write_text(json.dumps(self.errors))


_ARRAYS = ("endpoint", "row", "sent", "done", "outcome")


class Line(asyncio.Protocol):
    """One connection: one request at a time, the next when its time has come."""

    def __init__(self, clients: "Clients", place: int, number: int) -> None:
        self._clients = clients
        self._place = place
        self._target = clients.targets[place]
        self._row = number
        self._interval_s = self._target.n_lines / self._target.rate
        self._next = time.monotonic() + self._interval_s * number / self._target.n_lines
        self._transport: Any = None
        self._sent = 0.0
        self._got = b""
        self._wake: Any = None
        self._limit: Any = None

    async def keep(self) -> None:
        """Connect, and again whenever the connection ends."""
        loop = asyncio.get_running_loop()
        while not self._clients.is_over:
            try:
                await loop.create_connection(lambda: self, "127.0.0.1", self._clients.port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            self._lost = loop.create_future()
            self._plan()
            await self._lost
        self._clients.n_open -= 1

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def _plan(self) -> None:
        now = time.monotonic()
        if self._clients.is_over:
            self._transport.close()
            return
        self._next = max(self._next + self._interval_s, now)
        self._wake = asyncio.get_running_loop().call_later(self._next - now, self._ask)

    def _ask(self) -> None:
        self._row = (self._row + 1) % len(self._target.bodies)
        self._got = b""
        self._sent = time.monotonic()
        self._transport.write(self._clients.requests[self._place][self._row])
        self._limit = asyncio.get_running_loop().call_later(SILENT_S, self._give_up)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        if b" 200 " in head[:14]:
            outcome = self._target.version(self._row, body)
            if outcome == WRONG:
                self._tell(f"wrong: {body[:200]!r} to {self._target.bodies[self._row]}")
        else:
            outcome = REFUSED
            self._tell(f"{head[9:12].decode()} {body[:300].decode(errors='replace')}")
        self._over(outcome)
        self._plan()

    def _give_up(self) -> None:
        self._tell("silent")
        self._over(SILENT)
        self._transport.abort()

    def _over(self, outcome: int) -> None:
        self._limit.cancel()
        self._clients.notes.add(self._place, self._row, self._sent, outcome)
        self._sent = 0.0

    def _tell(self, text: str) -> None:
        self._clients.notes.errors.append((time.monotonic(), self._target.name, text))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._wake is not None:
            self._wake.cancel()
        if self._sent:
            self._tell(f"broken: {exc or 'closed'}")
            self._over(BROKEN)
        self._lost.set_result(None)


class Clients:
    """All lines to all endpoints."""

    def __init__(self, account: Account, targets: list[Target]) -> None:
        self.port = int(account.url.rpartition(":")[2])
        self.targets = targets
        self.notes = Notes()
        self.is_over = False
        self.n_open = sum(target.n_lines for target in targets)
        self.requests: list[list[bytes]] = []
        self._account = account

    def sign(self) -> None:
        """Sign every request anew."""
        self.requests = [
            [
                signed(self._account, target.name, body.encode(), "text/csv", "text/csv", n=1)[0]
                for body in target.bodies
            ]
            for target in self.targets
        ]

    async def run(self, seconds: float) -> None:
        """Ask for so long; end when everything asked is answered or given up."""
        self.sign()
        tasks = [
            asyncio.create_task(Line(self, place, number).keep())
            for place, target in enumerate(self.targets)
            for number in range(target.n_lines)
        ]
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, SIGNED_S))
            self.sign()
        self.is_over = True
        await asyncio.wait(tasks, timeout=SILENT_S + 5.0)


def main(plan: Path, out: Path) -> None:
    """Run a plan: `account`, `targets` and `seconds`."""
    document = json.loads(plan.read_text())
    clients = Clients(Account(**document["account"]), [Target(**each) for each in document["targets"]])
    uvloop.run(clients.run(document["seconds"]))
    clients.notes.write(out)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
