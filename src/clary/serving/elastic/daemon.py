"""The daemon of the accelerators: admits replicas, hands out turns, and ends those who hold others up.

One thread and one epoll: what it does for a turn is two small reads, one write and a few sums.
"""

import contextlib
import json
import logging
import mmap
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Any

from clary.compute import accelerator, linux
from clary.kernel.errors import CustomerError
from clary.kernel.settings import Settings
from clary.serving.elastic import tenants
from clary.serving.elastic.fair import Device, Flow, Stand
from clary.serving.elastic.ledger import Ledger
from clary.serving.elastic.messages import ASK, BEGIN, END, GIVEN, LEASH, MESSAGE, TAKEN, TOKEN_CHARS, TURNS
from clary.serving.elastic.tenants import Tenant

LOOK_S = 0.25
"""How often turns, memory and agents are looked at."""
TELL_S = 1.0
QUIET_TELL_S = 15.0
"""How often an agent hears of a replica that nobody asks."""
_PEER = Struct("iII")
log = logging.getLogger(__name__)
_ENDED = select.EPOLLHUP | select.EPOLLERR


@dataclass
class _Agent:
    """An agent's line, and what of a message has come."""

    line: socket.socket
    stamp: str
    held: bytes = b""
    token: str = ""


class Daemon:
    """Shares the accelerators of one machine.

    Promises
    --------
    - A lease lives as long as its agent; a daemon that is started again knows those of the last.
    - No device has more than one turn at a time; a turn is given to who is furthest behind by share.
    - A replica that ends, hangs or outgrows its slice costs the others no more than a quantum.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        folder = accelerator.control_socket(settings).parent
        for path in (folder, accelerator.turns_folder(settings), folder / "pids"):
            path.mkdir(parents=True, exist_ok=True)
        accelerator.turns_folder(settings).chmod(0o755)
        self._pids = folder / "pids"
        tenants.wake_all(self._pids)
        self._devices = [Device() for _ in range(settings.accelerators)]
        self._pages = [
            _page(accelerator.turns_folder(settings) / accelerator.PAGE.format(number))
            for number in range(settings.accelerators)
        ]
        self._threads = accelerator.threads(settings)
        self._ledger = Ledger(folder, settings.accelerators, accelerator.whole(settings))
        self._tenants: dict[str, Tenant] = {}
        for token in self._ledger.leases:
            self._tenant(token)
        self._epoll = select.epoll()
        self._hear: dict[int, Callable[[], None]] = {}
        self._lines: dict[int, socket.socket] = {}
        self._agents: dict[int, _Agent] = {}
        self._looked = 0.0
        self._listen(accelerator.control_socket(settings), 0o600, self._meet_agent)
        self._listen(accelerator.turns_folder(settings) / accelerator.TURNS, 0o666, self._meet_replica)
        self.is_over = False

    def run(self) -> None:
        """Work until `is_over`."""
        while not self.is_over:
            self.turn()
        for tenant in self._tenants.values():
            tenant.signal(signal.SIGCONT)

    def close(self) -> None:
        """Let go of every line."""
        for tenant in self._tenants.values():
            tenant.detach()
        for line in list(self._lines.values()):
            self._forget(line)
        for page in self._pages:
            page[0] = 0
            page.close()
        self._epoll.close()

    def turn(self) -> None:
        """Wait for something to happen, and see to it."""
        now = self._clock()
        due = [at for device in self._devices if (at := device.look_at(now)) is not None]
        wait_s = max(0.0, min([*due, self._looked + LOOK_S]) - now)
        for descriptor, _ in self._epoll.poll(wait_s):
            self._attend(descriptor)
        now = self._clock()
        for device, page in zip(self._devices, self._pages, strict=True):
            self._advance(device, now)
            page[0] = device.is_free
        if now - self._looked >= LOOK_S:
            self._looked = now
            self._look(now)

    def _attend(self, descriptor: int) -> None:
        """Hear one line; what is wrong with it is its own affair."""
        hear = self._hear.get(descriptor)
        if hear is None:
            return
        try:
            hear()
        except (ValueError, KeyError, TypeError, OSError):
            log.exception("a line was dropped")
            self._agents.pop(descriptor, None)
            self._forget(self._lines[descriptor])

    # Turns.

    def _advance(self, device: Device, now: float) -> None:
        step = device.step(now)
        if step.pause is not None:
            self._tenants[step.pause.name].signal(signal.SIGSTOP)
        if step.go is None:
            return
        tenant = self._tenants[step.go.name]
        if not step.is_new:
            tenant.signal(signal.SIGCONT)
        elif tenant.line is not None:
            tenant.cut_at = None
            with contextlib.suppress(OSError):  # its end is heard of next
                tenant.line.send(GIVEN)

    def _hear_turns(self, tenant: Tenant, line: socket.socket) -> None:
        try:
            said = line.recv(1024)
        except OSError:
            said = b""
        if not said or len(said) % MESSAGE.size:
            self._part(tenant, line)
            return
        now = self._clock()
        for kind, n in MESSAGE.iter_unpack(said):
            if kind == ASK:
                tenant.device.ask(tenant.flow, now)
            elif kind == BEGIN:
                tenant.cut_at = None
                if not tenant.device.begin(tenant.flow, now):
                    tenant.signal(signal.SIGSTOP)
            elif kind == END:
                tenant.n_answers += n
                if tenant.flow.stand is Stand.PAUSED:
                    tenant.signal(signal.SIGCONT)  # it had just finished
                tenant.device.end(tenant.flow, now)

    def _part(self, tenant: Tenant, line: socket.socket) -> None:
        """Hear the end of a replica's line."""
        self._forget(line)
        if tenant.line is line:
            if tenant.leash is not None:
                self._forget(tenant.leash)
            tenant.detach()
            tenant.device.end(tenant.flow, self._clock())

    # Replicas.

    def _meet_replica(self, line: socket.socket) -> None:
        def greet() -> None:
            try:
                said = line.recv(1 + TOKEN_CHARS)
            except OSError:
                said = b""
            tenant = self._tenants.get(said[1:].decode("ascii", "replace"))
            if tenant is None or said[:1] not in {TURNS, LEASH}:
                self._forget(line)
                return
            try:
                self._seat(tenant, line, said[:1])
            except OSError:  # it has ended meanwhile
                self._part(tenant, line)

        self._watch(line, greet)

    def _seat(self, tenant: Tenant, line: socket.socket, kind: bytes) -> None:
        if kind == LEASH:
            tenant.leash = line
            self._hear[line.fileno()] = lambda: self._forget(line)
        else:
            if tenant.line is not None:
                self._part(tenant, tenant.line)
            tenant.attach(line, _peer(line)[0])
            self._hear[line.fileno()] = lambda: self._hear_turns(tenant, line)
        line.send(MESSAGE.pack(TAKEN, tenant.lease.slice.memory_mib))

    # Agents and commands.

    def _meet_agent(self, line: socket.socket) -> None:
        pid, uid = _peer(line)
        if not accelerator.is_same_user(uid):
            line.close()
            return
        agent = _Agent(line, linux.stamp(pid))

        def hear() -> None:
            try:
                said = line.recv(65536)
            except OSError:
                said = b""
            if not said:
                self._agents.pop(line.fileno(), None)
                self._forget(line)
                return
            agent.held += said
            *whole, agent.held = agent.held.split(b"\n")
            for each in whole:
                self._answer(agent, json.loads(each))

        self._watch(line, hear)

    def _answer(self, agent: _Agent, asked: dict[str, Any]) -> None:
        if "status" in asked:
            _say(agent.line, self.status())
            return
        if "release" in asked:
            self._release(agent.token)
            return
        try:
            lease = self._ledger.admit(asked["admit"], agent.stamp)
        except CustomerError as error:
            _say(agent.line, {"refused": str(error)})
            return
        agent.token = lease.token
        self._agents[agent.line.fileno()] = agent
        self._tenant(lease.token)
        gpu = accelerator.gpu_of(lease.device)
        _say(agent.line, {"token": lease.token, "device": lease.device, "gpu": gpu, "threads": self._threads})

    def _release(self, token: str) -> None:
        self._ledger.release(token)
        tenant = self._tenants.pop(token, None)
        if tenant is not None:
            if tenant.line is not None:
                self._part(tenant, tenant.line)
            tenant.device.leave(tenant.flow)
            (self._pids / token).unlink(missing_ok=True)

    def _tenant(self, token: str) -> Tenant:
        tenant = self._tenants.get(token)
        if tenant is None:
            lease = self._ledger.leases[token]
            device = self._devices[lease.device]
            flow = Flow(token, self._ledger.share(lease))
            tenant = Tenant(lease, device, flow, not accelerator.gpu_of(lease.device), self._pids)
            device.join(tenant.flow)
            self._tenants[token] = tenant
        return tenant

    def status(self) -> dict[str, Any]:
        """Return the accelerators and who shares them."""
        whole = self._ledger.whole
        return {
            "devices": [
                {
                    "device": number,
                    "gpu": accelerator.gpu_of(number),
                    "threads": self._threads,
                    "tflops": whole.tflops,
                    "memory_mib": whole.memory_mib,
                }
                for number in range(self._ledger.n_devices)
            ],
            "tenants": [self._tenants[token].shown() for token in self._ledger.leases],
        }

    # Now and then.

    def _look(self, now: float) -> None:
        for lease in self._ledger.sweep():
            self._release(lease.token)
        agents = {agent.token: agent for agent in self._agents.values()}
        for token, tenant in self._tenants.items():
            why = tenant.police(now)
            tenant.mark(now)
            if token in agents:
                self._tell(agents[token], tenant, now, why)

    def _tell(self, agent: _Agent, tenant: Tenant, now: float, why: str) -> None:
        if why:
            _say(agent.line, {"ended": why})
        counts = tenant.counts()
        is_busy = counts != tenant.told
        if not tenant.told:
            tenant.told, tenant.told_at = counts, now
        elif now - tenant.told_at >= (TELL_S if is_busy else QUIET_TELL_S):
            news = {name: counts[name] - tenant.told[name] for name in counts}
            span_s = now - tenant.told_at
            tenant.told, tenant.told_at = counts, now
            _say(agent.line, {"usage": news | {"span_s": span_s, "memory_bytes": tenant.memory_bytes}})

    # Sockets.

    def _listen(self, path: Path, mode: int, meet: Callable[[socket.socket], None]) -> None:
        path.unlink(missing_ok=True)
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        door.bind(str(path))
        path.chmod(mode)
        door.listen(64)

        def accept() -> None:
            with contextlib.suppress(OSError):
                line, _ = door.accept()
                line.setblocking(False)
                meet(line)

        self._watch(door, accept)

    def _watch(self, line: socket.socket, hear: Callable[[], None]) -> None:
        self._hear[line.fileno()] = hear
        self._lines[line.fileno()] = line
        self._epoll.register(line.fileno(), select.EPOLLIN | _ENDED)

    def _forget(self, line: socket.socket) -> None:
        number = line.fileno()
        if number >= 0:
            self._hear.pop(number, None)
            self._lines.pop(number, None)
            with contextlib.suppress(OSError):
                self._epoll.unregister(number)
            line.close()


def _page(path: Path) -> mmap.mmap:
    """Return a device's page; one that replicas see already stays the same file."""
    with path.open("a+b") as file:
        file.truncate(1)
        path.chmod(0o644)
        return mmap.mmap(file.fileno(), 1)


def _say(line: socket.socket, what: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # gone, or so far behind that it will not be missed
        line.send(json.dumps(what).encode() + b"\n")


def _peer(line: socket.socket) -> tuple[int, int]:
    """Return process and user at the other end."""
    pid, uid, _ = _PEER.unpack(line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return pid, uid
