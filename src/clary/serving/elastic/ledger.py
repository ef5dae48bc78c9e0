"""What of each accelerator is reserved, by whom: leases, admitted while they fit, kept over a restart."""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clary.compute import accelerator, linux
from clary.compute.accelerator import Slice
from clary.kernel.errors import CustomerError

FILE = "leases.json"


@dataclass(frozen=True, kw_only=True)
class Lease:
    """One replica's slice of one accelerator, for as long as its agent lives."""

    run_id: str
    token: str
    """By which its replica is known."""
    device: int
    type: str
    account: str
    endpoint: str
    variant: str
    limit_s: float
    """Longest turn."""
    agent: str
    """Of the process that holds it: pid and start time."""

    @property
    def slice(self) -> Slice:
        """What it takes."""
        return accelerator.slice_of(self.type)


class Ledger:
    """The leases of all accelerators.

    Parameters
    ----------
    folder : Path
        Where they are written down, so that who was admitted stays so when the daemon is started again.
    n_devices : int
        Accelerators there are.
    whole : Slice
        What each of them has to give.
    """

    def __init__(self, folder: Path, n_devices: int, whole: Slice) -> None:
        self.whole = whole
        self.n_devices = n_devices
        self._file = folder / FILE
        self.leases: dict[str, Lease] = {each.token: each for each in self._read()}

    def admit(self, request: Mapping[str, Any], agent: str) -> Lease:
        """Reserve a slice for a run, or return the lease that it has.

        Raises
        ------
        CustomerError
            It fits on no accelerator; the text says what is taken by whom.
        """
        known = next((each for each in self.leases.values() if each.run_id == request["run_id"]), None)
        if known is not None:
            lease = Lease(**(asdict(known) | {"agent": agent}))
        else:
            self.sweep()
            device = self._device_for(request)
            members = {
                name: str(request[name]) for name in ("run_id", "type", "account", "endpoint", "variant")
            }
            lease = Lease(
                **members,
                token=secrets.token_hex(16),
                device=device,
                limit_s=float(request["limit_s"]),
                agent=agent,
            )
        self.leases[lease.token] = lease
        self._write()
        return lease

    def release(self, token: str) -> None:
        """Give a slice back."""
        if self.leases.pop(token, None) is not None:
            self._write()

    def sweep(self) -> list[Lease]:
        """Give back what agents hold that are gone; return those leases."""
        gone = [each for each in self.leases.values() if not is_alive(each.agent)]
        for each in gone:
            self.leases.pop(each.token, None)
        if gone:
            self._write()
        return gone

    def of(self, device: int) -> list[Lease]:
        """Return the leases of one accelerator."""
        return [each for each in self.leases.values() if each.device == device]

    def share(self, lease: Lease) -> float:
        """Return the part of an accelerator that a lease takes."""
        return lease.slice.tflops / self.whole.tflops

    def _device_for(self, request: Mapping[str, Any]) -> int:
        """Return the accelerator with least room of those that have enough."""
        wanted = accelerator.slice_of(str(request["type"]))
        rooms = [(self._room(device), device) for device in range(self.n_devices)]
        fitting = [
            (room.tflops, device)
            for room, device in rooms
            if wanted.tflops <= room.tflops + 1e-9 and wanted.memory_mib <= room.memory_mib
        ]
        if fitting:
            return min(fitting)[1]
        raise CustomerError(
            "Unable to provision requested ML compute capacity due to InsufficientAcceleratorCapacity error: "
            f"{request['type']} takes {self._said(wanted)} of an accelerator, and {self._left(rooms)}. "
            f"Taken: {self._taken(str(request['account']))}. Delete an endpoint, or choose a smaller type."
        )

    def _room(self, device: int) -> Slice:
        taken = [each.slice for each in self.of(device)]
        return Slice(
            self.whole.tflops - sum(each.tflops for each in taken),
            self.whole.memory_mib - sum(each.memory_mib for each in taken),
        )

    def _said(self, part: Slice) -> str:
        return f"{100 * part.tflops / self.whole.tflops:.0f} % and {part.memory_mib} MiB"

    def _left(self, rooms: Iterable[tuple[Slice, int]]) -> str:
        said = [f"accelerator {device} has {self._said(room)} left" for room, device in rooms]
        return " and ".join(said) or "this machine has none (CLARY_ACCELERATORS is 0)"

    def _taken(self, account: str) -> str:
        """Say what is taken by whom; of another account, only that it is."""
        own = [each for each in self.leases.values() if each.account == account]
        said = [f"{each.endpoint}/{each.variant} {self._said(each.slice)} ({each.type})" for each in own]
        others = [each for each in self.leases.values() if each.account != account]
        if others:
            tflops = sum(each.slice.tflops for each in others)
            memory_mib = sum(each.slice.memory_mib for each in others)
            said.append(f"other accounts {self._said(Slice(tflops, memory_mib))}")
        return ", ".join(said) or "nothing"

    def _read(self) -> list[Lease]:
        try:
            leases = [Lease(**each) for each in json.loads(self._file.read_text())]
        except (OSError, ValueError, TypeError):
            return []
        return [each for each in leases if is_alive(each.agent) and each.device < self.n_devices]

    def _write(self) -> None:
        beside = self._file.with_name(f".{self._file.name}")
        beside.write_text(json.dumps([asdict(each) for each in self.leases.values()]))
        beside.chmod(0o600)
        beside.replace(self._file)


def is_alive(stamp: str) -> bool:
    """Tell whether the very process of a stamp still lives."""
    pid, _, started = stamp.partition(" ")
    return pid.isdecimal() and linux.start_time(int(pid)) == int(started or 0)
