"""A crew: one model, loaded once, in several processes that answer for one replica.

    edge ══frames══▶ foreman ══frames══▶ worker 1 ─▶ handler ─▶ model
                        │    ══frames══▶ worker 2 ─▶ handler ─▶   the same pages of memory, until written to
                        └ takes each question to the worker that has the fewest

What Python computes in one thread at a time, `SAGEMAKER_MODEL_SERVER_WORKERS` processes compute at once, as
in SageMaker's own containers. They are forks of the process that loaded the model, and share its memory.
"""

import contextlib
import itertools
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clary.kernel.errors import CustomerError
from clary.serving.frames import Decoder, Frame, FrameError, pack
from clary.serving.handlers import base
from clary.serving.replica import CHUNK_BYTES, DRAIN_S, Replica

WORKERS = ("SAGEMAKER_MODEL_SERVER_WORKERS", "MODEL_SERVER_WORKERS")
"""Variables of the container's environment. Source: SDK v2, `model_server_workers`; sagemaker-containers."""
MOST = 64
LOST = 1
"""Exit code of a crew that lost one of its workers: the agent starts it anew."""
_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def size(environ: Mapping[str, str]) -> int:
    """Return how many workers are asked for; 1 where nobody asks.

    Raises
    ------
    CustomerError
        The number is none, or out of range.
    """
    name, text = next(((name, environ[name]) for name in WORKERS if environ.get(name)), ("", "1"))
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise CustomerError(f"{name} is {text!r}; it must be a whole number from 1 to {MOST}.")
    return int(text)


def hold_threads(n_threads: int) -> None:
    """Let libraries compute with so many threads; 1 before forks, for OpenMP's pools do not outlive one."""
    os.environ |= dict.fromkeys(_POOLS, str(n_threads))  # of those that are not loaded yet
    with contextlib.suppress(ImportError):
        from threadpoolctl import threadpool_limits  # noqa: PLC0415 - where it is installed

        threadpool_limits(n_threads)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(n_threads)


@dataclass(eq=False)
class _Worker:
    """A worker, as the foreman holds it."""

    pid: int
    line: socket.socket
    asked: dict[int, tuple[socket.socket, int]] = field(default_factory=dict)
    """Whose question each of its numbers is: the connection, and the number there."""
    sending: threading.Lock = field(default_factory=threading.Lock)


class Crew(Replica):
    """The foreman: carries frames between connections and workers.

    Promises
    --------
    - The questions of one turn are spread over the workers; each worker's answers leave as they come.
    - A worker that ends takes the crew along: half a replica would go unnoticed.
    """

    def __init__(self, handler: base.Handler, n_workers: int) -> None:
        super().__init__(handler)
        self._numbers = itertools.count(1)
        self._sending: dict[socket.socket, threading.Lock] = {}
        self._answered = threading.Condition()
        self._is_over = False
        self._workers: list[_Worker] = []
        for _ in range(n_workers):
            self._workers.append(self._forked(n_workers))

    def _forked(self, n_workers: int) -> _Worker:
        """Fork a worker; this process has one thread, and knows no connection yet."""
        here, there = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            code = LOST
            try:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends when the foreman hangs up
                for line in (here, *(each.line for each in self._workers)):
                    line.close()  # else it would not hear that
                hold_threads(max(1, (os.cpu_count() or 1) // n_workers))
                Replica(self._handler).attend(there)
                code = 0
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        there.close()
        return _Worker(pid, here)

    def run(self, path: Path, ready: Callable[[], None] = lambda: None) -> None:
        """Listen on `path` until SIGTERM; then let the workers finish what they were asked."""
        for worker in self._workers:
            threading.Thread(target=self._follow, args=(worker,), daemon=True).start()
        super().run(path, ready)
        self._is_over = True
        for worker in self._workers:
            worker.line.shutdown(socket.SHUT_WR)
            os.waitpid(worker.pid, 0)

    def attend(self, line: socket.socket) -> None:
        """Serve one connection until it ends."""
        self._sending[line] = threading.Lock()
        super().attend(line)

    def _reply(self, line: socket.socket, frames: Sequence[Frame]) -> None:
        """Take each question to the worker that has the fewest."""
        packed: dict[_Worker, list[bytes]] = {}
        for frame in frames:
            worker = min(self._workers, key=lambda each: len(each.asked))
            number = next(self._numbers) & 0xFFFFFFFF
            worker.asked[number] = (line, frame.request_id)
            packed.setdefault(worker, []).append(pack(number, frame.header, frame.body))
        for worker, pieces in packed.items():
            with worker.sending:
                worker.line.sendall(b"".join(pieces))

    def _rest(self, line: socket.socket) -> None:
        """Wait until a connection that asks no more has its answers."""
        with self._answered:
            self._answered.wait_for(lambda: not self._owes(line), DRAIN_S)
        del self._sending[line]

    def _owes(self, line: socket.socket) -> bool:
        return any(whose is line for each in self._workers for whose, _ in list(each.asked.values()))

    def _follow(self, worker: _Worker) -> None:
        """Carry a worker's answers back, until it ends."""
        decoder = Decoder()
        with contextlib.suppress(OSError, FrameError):
            while chunk := worker.line.recv(CHUNK_BYTES):
                self._carry(worker, decoder.feed(chunk))
        if not self._is_over:
            text = f"A worker (process {worker.pid}) ended; the replica starts anew\n"
            os.write(2, text.encode())
            os._exit(LOST)

    def _carry(self, worker: _Worker, frames: Iterable[Frame]) -> None:
        pieces: dict[socket.socket, list[bytes]] = {}
        done = []
        for frame in frames:
            line, number = worker.asked[frame.request_id]
            if not frame.header.get("more"):
                done.append(frame.request_id)
            pieces.setdefault(line, []).append(pack(number, frame.header, frame.body))
        for line, packed in pieces.items():
            with contextlib.suppress(OSError), self._sending[line]:  # who asked may be gone
                line.sendall(b"".join(packed))
        with self._answered:
            for request_id in done:
                del worker.asked[request_id]
            self._answered.notify_all()
