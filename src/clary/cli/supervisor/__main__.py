"""The supervisor of `clary up -d`: settings from `CLARY_*`, events as JSON lines until it is up."""

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import asdict

from clary.cli.supervisor.process import Event
from clary.cli.supervisor.session import Session
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings


class Reporter:
    """Tells the waiting `clary up -d` through a pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def __call__(self, event: Event) -> None:
        """Report one event; after `up` or `failed` the pipe is closed."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):  # the starter was interrupted
            os.write(self._descriptor, (json.dumps(asdict(event)) + "\n").encode())
        if event.kind in {"up", "failed"}:
            os.close(self._descriptor)
            self._descriptor = None


def main(argv: list[str]) -> int:
    """Supervise; `argv` is the descriptor of the pipe."""
    report = Reporter(int(argv[0]))
    try:
        asyncio.run(Session(Settings.load(), report).run())
    except (SetupError, OSError, ValueError) as error:
        report(Event(kind="failed", text=str(error)))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
