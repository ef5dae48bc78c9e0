"""A sandbox that opens while nobody knows yet what will run in it."""

import logging
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future

from clary.compute.sandbox import Sandbox
from clary.kernel.errors import SetupError

log = logging.getLogger(__name__)


class Ahead:
    """Opens a sandbox in a thread of its own.

    Parameters
    ----------
    kind : hashable
        Everything that the sandbox depends on.
    """

    def __init__(self, kind: Hashable, opened: Callable[[], Sandbox]) -> None:
        self._kind = kind
        self._opened = opened
        self._box: Future[Sandbox] = Future()
        threading.Thread(target=self._open, name="sandbox", daemon=True).start()

    def _open(self) -> None:
        try:
            self._box.set_result(self._opened())
        except BaseException as error:
            self._box.set_exception(error)

    def take(self, kind: Hashable) -> Sandbox | None:
        """Return the sandbox if it is of this kind, once it is open; else close it."""
        try:
            box = self._box.result()
        except (SetupError, OSError) as error:
            log.info("no sandbox ahead: %s", error)
            return None
        if kind == self._kind:
            return box
        box.close()
        return None
