"""The control plane's end of the driver: it keeps one going, and hears when there is none."""

import contextlib
import importlib.util
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clary.compute import zygote
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

INSTALL = 'pip install "clary[ray]"'
SCHEME = "ray://"
SILENCE_S = 20.0
"""A driver that says nothing for so long is ended: it tells of the nodes every three seconds."""
CONNECT_S = 60.0
_PAUSES_S = (0.5, 1.0, 2.0, 5.0)

Event = Mapping[str, Any]
log = logging.getLogger(__name__)


def address_of(cluster: str) -> tuple[str, str]:
    """Return the cluster's address and token: the address given, or what lines one and two of the file say.

    Raises
    ------
    SetupError
        It is neither an address nor a file with one.
    """
    text = cluster
    if not cluster.startswith(SCHEME):
        try:
            text = Path(cluster).expanduser().read_text()
        except OSError as error:
            raise SetupError(
                f"CLARY_CLUSTER is {cluster!r}: neither {SCHEME}HOST:PORT, nor a file that can be read "
                f"({error.strerror})"
            ) from None
    address, token = [*map(str.strip, text.splitlines()), "", ""][:2]
    if not address.startswith(SCHEME) or not address.rpartition(":")[2].isdecimal():
        raise SetupError(
            f"CLARY_CLUSTER: {address!r} is no address of a cluster; it must be {SCHEME}HOST:PORT"
        )
    return address, token


def check(cluster: str) -> tuple[str, str]:
    """Return the cluster's address and token, if this environment can speak to it.

    Raises
    ------
    SetupError
        Ray, or its client, is not installed; or there is no address.
    """
    if importlib.util.find_spec("ray") is None or importlib.util.find_spec("grpc") is None:
        raise SetupError(f"CLARY_CLUSTER needs Ray, which is not installed here: {INSTALL}")
    return address_of(cluster)


def environment(settings: Settings, token: str) -> dict[str, str]:
    """Return the environment of a driver: ours and the cluster's token, nothing told to Ray's makers."""
    kept = zygote.environment(settings)
    kept |= {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    kept |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "10"}
    kept |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else {}
    kept["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return kept


class Link:
    """Keeps a driver connected to the cluster.

    Parameters
    ----------
    on_event : callable
        Called from the link's thread with each event; `{"event": "lost"}` when a driver has ended.
    is_warm : bool
        Whether the nodes have zygotes ready.
    """

    def __init__(
        self, settings: Settings, namespace: str, on_event: Callable[[Event], None], *, is_warm: bool = True
    ) -> None:
        self._settings = settings
        self._options = [] if is_warm else ["--cold"]
        self._namespace = namespace
        self._on_event = on_event
        self._end = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._heard_at = 0.0
        self._threads = [
            threading.Thread(target=work, name=f"link-{work.__name__}", daemon=True)
            for work in (self._keep, self._watch)
        ]

    def start(self) -> None:
        """Begin to keep one."""
        for each in self._threads:
            each.start()

    def send(self, do: str, **order: Any) -> None:
        """Give an order; what a driver did not get is not kept, for the next one is told everything anew."""
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                process.stdin.write(f"{json.dumps({'do': do, **order})}\n")
                process.stdin.flush()

    def close(self) -> None:
        """Let the driver end; what it has placed goes on."""
        self._end.set()
        self._kill()
        for each in self._threads:
            each.join()

    def _keep(self) -> None:
        n_failures = 0
        while not self._end.is_set():
            began = time.monotonic()
            try:
                self._one()
            except Exception:
                log.exception("the cluster's driver")
            n_failures = 0 if time.monotonic() - began > SILENCE_S else n_failures + 1
            self._end.wait(_PAUSES_S[min(n_failures, len(_PAUSES_S) - 1)])

    def _one(self) -> None:
        """Run one driver to its end."""
        address, token = check(self._settings.cluster)
        words = [sys.executable, "-P", "-m", "clary.compute.cluster"]
        with (self._settings.data_dir / "cluster.log").open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - this interpreter, this package
                [*words, address, self._namespace, str(self._settings.cluster_lease_s), *self._options],
                env=environment(self._settings, token),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                start_new_session=True,
            )
        self._heard_at = time.monotonic() + CONNECT_S - SILENCE_S
        self._process = process
        if self._end.is_set():  # closed while this one was being started: nobody else ends it
            self._kill()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                self._heard_at = time.monotonic()
                try:
                    self._on_event(json.loads(line))
                except Exception:
                    log.exception("an event of the cluster: %s", line)
        finally:
            self._kill()
            process.wait()
            self._process = None
            self._on_event({"event": "lost"})

    def _watch(self) -> None:
        """End a driver that has fallen silent."""
        while not self._end.wait(1.0):
            if self._process is not None and time.monotonic() - self._heard_at > SILENCE_S:
                log.warning("the cluster's driver says nothing any more")
                self._heard_at = time.monotonic()
                self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
