"""An agent's lease of an accelerator: asked for before its program starts, held until the agent ends.

Where a program needs the device (an endpoint's variant, a notebook), its programme does

    with accelerator.leased(host, reporter) as lease:
        program = lease.lend(program)
"""

import contextlib
import json
import logging
import math
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import IO, Any

from clary.compute import accelerator
from clary.compute.agent.host import Host
from clary.compute.agent.reports import Reporter
from clary.compute.runners.base import Program
from clary.kernel.clock import epoch_ms
from clary.kernel.errors import CustomerError
from clary.kernel.settings import Settings

LIMIT_S = 60.0
"""Longest turn where the container's environment sets none. Source: inference toolkit, server timeout."""
LIMIT_VARIABLE = "SAGEMAKER_MODEL_SERVER_TIMEOUT"
AWAY_S = 20.0
_PAUSE_S = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lease:
    """What the daemon has granted; an empty one lends nothing."""

    settings: Settings
    terms: Mapping[str, Any]

    def lend(self, program: Program) -> Program:
        """Return the program with the way to its device."""
        if not self.terms:
            return program
        folder = accelerator.turns_folder(self.settings)
        page = accelerator.PAGE.format(self.terms["device"])
        variables = {
            accelerator.SOCKET_VARIABLE: f"{accelerator.INSIDE}/{accelerator.TURNS}",
            accelerator.PAGE_VARIABLE: f"{accelerator.INSIDE}/{page}",
            accelerator.TOKEN_VARIABLE: self.terms["token"],
            "CLARY_IN_PLACE": "false",  # else edges would answer without the device
            "OMP_NUM_THREADS": str(self.terms["threads"]),
        }
        return replace(
            program,
            environment={**program.environment, **variables},
            ro_binds=(*program.ro_binds, (str(folder), accelerator.INSIDE)),
        )


@contextlib.contextmanager
def leased(host: Host, reporter: Reporter) -> Iterator[Lease]:
    """Hold a lease for the block, where the host's request asks for an accelerator.

    Raises
    ------
    CustomerError
        There is no room; the text says what is taken by whom.
    """
    settings = Settings.load()
    if not host.spec.request.get("AcceleratorType"):
        yield Lease(settings, {})
        return
    holder = _Holder(host, reporter, settings)
    try:
        yield Lease(settings, holder.terms)
    finally:
        holder.close()


class _Holder:
    """Keeps the line to the daemon, makes it anew when the daemon is, and tells what comes through it."""

    def __init__(self, host: Host, reporter: Reporter, settings: Settings) -> None:
        self._host, self._reporter = host, reporter
        self._address = str(accelerator.control_socket(settings))
        self._over = threading.Event()
        self._line, self._said, self.terms = self._admitted(AWAY_S)
        if self.terms["gpu"]:
            (host.home / "gpus").write_text(self.terms["gpu"])
            host.spec = replace(host.spec, size=replace(host.spec.size, gpus=1))
        threading.Thread(target=self._listen, name="accelerator", daemon=True).start()

    def close(self) -> None:
        """Give the slice back."""
        self._over.set()
        with contextlib.suppress(OSError):
            self._line.sendall(b'{"release": true}\n', socket.MSG_NOSIGNAL)
            self._line.shutdown(socket.SHUT_RDWR)

    def _admitted(self, patience_s: float) -> tuple[socket.socket, IO[str], Mapping[str, Any]]:
        """Ask for the slice; return the line, what is heard on it, and the terms."""
        spec = self._host.spec
        container = spec.request.get("Container") or {}
        asked = {
            "run_id": f"{spec.run_id}/{self._host.name}",
            "type": spec.request["AcceleratorType"],
            "account": spec.account,
            "endpoint": spec.name,
            "variant": spec.request.get("VariantName", ""),
            "limit_s": limit_s(container.get("Environment") or {}),
        }
        until = time.monotonic() + patience_s
        while True:
            line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                line.connect(self._address)
                line.sendall(json.dumps({"admit": asked}).encode() + b"\n", socket.MSG_NOSIGNAL)
                said = line.makefile()
                terms = json.loads(said.readline())
                break
            except (OSError, ValueError) as error:
                line.close()
                if time.monotonic() > until or self._over.is_set():
                    raise CustomerError(f"the daemon of the accelerators does not answer: {error}") from None
                self._over.wait(_PAUSE_S)
        if "refused" in terms:
            line.close()
            raise CustomerError(terms["refused"])
        return line, said, terms

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                for text in self._said:
                    self._hear(json.loads(text))
            except (OSError, ValueError):
                pass
            if self._over.is_set():
                return
            try:
                self._line, self._said, _ = self._admitted(math.inf)  # the same terms: leases outlive daemons
            except CustomerError as error:
                if self._over.is_set():
                    return
                log.error("the lease of the accelerator is lost: %s", error)
                return

    def _hear(self, said: Mapping[str, Any]) -> None:
        ms = epoch_ms()
        if "ended" in said:
            self._reporter.log(ms, said["ended"])
        usage = said.get("usage")
        if usage:
            n_turns = max(1, usage["n_turns"])
            values = {
                "AcceleratorUtilization": 100.0 * usage["device_s"] / usage["span_s"],
                "AcceleratorMemoryUsage": float(usage["memory_bytes"]),
                "AcceleratorTotalInferenceCount": float(usage["n_answers"]),
                "AcceleratorInferenceWithServerErrorCount": float(usage["n_cut"]),
                "AcceleratorDeviceTime": 1e6 * usage["device_s"],
                "AcceleratorQueueTime": 1e6 * usage["waited_s"] / n_turns,
            }
            for name, value in values.items():
                self._reporter.metric(name, ms, value)


def limit_s(environment: Mapping[str, str]) -> float:
    """Return how long a turn may last, from a container's environment."""
    with contextlib.suppress(ValueError):
        return min(LIMIT_S, max(1.0, float(environment.get(LIMIT_VARIABLE, LIMIT_S))))
    return LIMIT_S
