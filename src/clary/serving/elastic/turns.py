"""A replica's side: its model's calls, each in a turn on the accelerator.

The line to the daemon is made again when the daemon is; a call waits for that, and nothing is lost.
"""

import contextlib
import ctypes
import functools
import inspect
import mmap
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clary.compute import accelerator
from clary.serving.elastic.messages import ASKED, BEGUN, END, GO, LEASH, MESSAGE, TAKEN, TURNS

AWAY_S = 30.0
"""How long a call waits for a daemon that is away."""
_PAUSE_S = 0.05
_ENDED, _ENDED_IDLE = MESSAGE.pack(END, 1), MESSAGE.pack(END, 0)


class TurnOverError(BaseException):
    """The turn lasted too long: raised in the model's own code, past `except Exception`."""


class AwayError(RuntimeError):
    """The accelerator cannot be used now."""

    status_code = 503


class Turns:
    """Turns of one process, one at a time.

    Parameters
    ----------
    address : str
        Socket of the daemon.
    token : str
        Of the lease.
    page : str
        File that says whether the device is free; empty where each turn is asked for.
    """

    def __init__(self, address: str, token: str, page: str = "") -> None:
        self._address, self._token = address, token
        self._page: Sequence[int] | mmap.mmap = b"\0"
        if page:
            with open(page, "rb") as file:
                self._page = mmap.mmap(file.fileno(), 1, prot=mmap.PROT_READ)
        self._line: socket.socket | None = None
        self._leash: socket.socket | None = None
        self._turn = threading.Lock()
        self._guard = threading.Lock()
        self._holder = 0
        """Thread that has the turn."""
        self._cut_s = 0
        self.memory_mib = 0
        self._ask()
        self._end(_ENDED_IDLE)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Have the device for the block.

        Raises
        ------
        TurnOverError
            From within the block, when it lasts too long.
        AwayError
            There is no daemon, and none comes.
        """
        with self._turn:
            self._ask()
            try:
                with self._guard:
                    self._holder, self._cut_s = threading.get_ident(), 0
                yield
                _settle()
            finally:
                self._end()

    def bound(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` as one that is called in a turn; a generator has one for each of its parts."""

        @functools.wraps(function)
        def in_turn(*arguments: Any, **named: Any) -> Any:
            try:
                with self.turn():
                    found = function(*arguments, **named)
            except TurnOverError:
                raise TimeoutError(
                    f"the model used the accelerator for longer than {self._cut_s} s at a stretch and was "
                    "interrupted; SAGEMAKER_MODEL_SERVER_TIMEOUT of its environment sets how long it may"
                ) from None
            return self._parts(found) if inspect.isgenerator(found) else found

        return in_turn

    def _parts(self, parts: Iterator[Any]) -> Iterator[Any]:
        ended = object()
        while True:
            with self.turn():
                part = next(parts, ended)
            if part is ended:
                return
            yield part

    def _ask(self) -> None:
        """Take the device where it is free, else wait for a turn; of a new daemon where one is gone."""
        if self._page[0] and self._line is not None:
            try:
                self._line.sendall(BEGUN, socket.MSG_NOSIGNAL)
                return
            except OSError:
                self._part()
        until = time.monotonic() + AWAY_S
        while True:
            try:
                if self._line is None:
                    self._join()
                assert self._line is not None
                self._line.sendall(ASKED, socket.MSG_NOSIGNAL)
                if self._line.recv(MESSAGE.size)[:1] == GO:
                    return
            except OSError:
                pass
            self._part()
            if time.monotonic() > until:
                raise AwayError("the accelerator's daemon does not answer")
            time.sleep(_PAUSE_S)

    def _end(self, said: bytes = _ENDED) -> None:
        with contextlib.suppress(TurnOverError), self._guard:
            self._holder = 0
        if self._cut_s:
            self._holder = 0
            _absorb()
        if self._line is not None:
            try:
                self._line.sendall(said, socket.MSG_NOSIGNAL)  # scripts' processes die of SIGPIPE
            except OSError:
                self._part()  # a new daemon knows nothing of this turn

    def _join(self) -> None:
        """Make both lines; raise `OSError` where nobody takes them."""
        self._line = self._greeted(TURNS)
        self._leash = self._greeted(LEASH)
        threading.Thread(target=self._heed, args=(self._leash,), name="leash", daemon=True).start()

    def _greeted(self, kind: bytes) -> socket.socket:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.connect(self._address)
            line.sendall(kind + self._token.encode(), socket.MSG_NOSIGNAL)
            answer = line.recv(MESSAGE.size, socket.MSG_WAITALL)
            if answer[:1] != TAKEN:
                raise ConnectionRefusedError("the accelerator's daemon does not know this replica")
            self.memory_mib = MESSAGE.unpack(answer)[1]
        except BaseException:
            line.close()
            raise
        return line

    def _part(self) -> None:
        for each in (self._line, self._leash):
            if each is not None:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        self._line = self._leash = None

    def _heed(self, leash: socket.socket) -> None:
        """Interrupt the thread that has the turn when the daemon says so."""
        with contextlib.suppress(OSError):
            while said := leash.recv(MESSAGE.size):
                with self._guard:
                    if self._holder:
                        self._cut_s = max(1, MESSAGE.unpack(said)[1])
                        _raise_in(self._holder)


def of(environ: Mapping[str, str]) -> Turns | None:
    """Return the turns that a replica's environment leads to; None where its model has no accelerator.

    Raises
    ------
    AwayError
        There is no daemon that takes it.
    """
    address, token = environ.get(accelerator.SOCKET_VARIABLE), environ.get(accelerator.TOKEN_VARIABLE)
    page = environ.get(accelerator.PAGE_VARIABLE, "")
    return Turns(address, token, page) if address and token else None


def fence(turns: Turns) -> None:
    """Hold PyTorch to the slice's memory and threads, where it is used."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if torch.cuda.is_available():
        whole = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, (turns.memory_mib << 20) / whole))
    elif (n_threads := os.environ.get("OMP_NUM_THREADS", "")).isdecimal():
        torch.set_num_threads(int(n_threads))


def _settle() -> None:
    """Wait for what was only queued on a GPU: the turn is over when it is."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _raise_in(thread: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TurnOverError))


def _absorb() -> None:
    """Let an interruption that came at the very end of a turn go by."""
    with contextlib.suppress(TurnOverError):
        for _ in range(1000):
            pass
