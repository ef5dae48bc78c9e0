"""Pipe mode: a channel as one FIFO per epoch, `<channel>_<epoch>`, written while the program reads.

    epoch 0: mkfifo train_0, train_1 ─▶ open for writing (waits for a reader) ─▶ write ─▶ close ─▶ epoch 1 …

The FIFO of the next epoch always exists before that of the present one is closed, so that a reader never has
to wait for a name to appear.
"""

import contextlib
import os
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from clary.kernel.errors import CustomerError
from clary.toolkit import recordio
from clary.toolkit.channels import Share
from clary.toolkit.object_faults import CancelledError
from clary.toolkit.objects import Entry, Objects

WRITE_BYTES = 1 << 20
_MODE = 0o644


def content(share: Share, objects: Objects, epoch: int) -> Iterator[bytes]:
    """Yield the bytes of one epoch of a channel: its objects in turn, inflated and framed as asked.

    Raises
    ------
    CustomerError
        An object went missing, or is not gzip although the channel says so.
    """
    is_framed = share.channel.record_wrapper == "RecordIO"
    is_gzip = share.channel.compression == "Gzip"
    for item in share.of_epoch(epoch):
        for value in item.values or (item.entry,):
            if value is None:
                continue
            if isinstance(value, bytes):
                yield recordio.wrap(value) if is_framed else value
                continue
            pieces = objects.stream(value.uri)
            if is_gzip:
                pieces = inflate(pieces, value.uri)
            yield from _framed(value, pieces, objects, is_gzip) if is_framed else pieces


def _framed(entry: Entry, pieces: Iterator[bytes], objects: Objects, is_gzip: bool) -> Iterator[bytes]:
    """Yield one object as one record; what inflates must be read whole to know its length."""
    try:
        if is_gzip:
            yield recordio.wrap(b"".join(pieces))
            return
        size = entry.size
        if size is None:
            found = objects.head(entry.uri)
            size = found.size if found is not None else 0
        yield from recordio.wrap_stream(size or 0, pieces)
    except recordio.RecordIOError as error:
        raise CustomerError(f"{entry.uri} cannot be wrapped: {error}") from error


def inflate(pieces: Iterator[bytes], what: str) -> Iterator[bytes]:
    """Yield what gzip made of `pieces`, all members of a concatenation.

    Raises
    ------
    CustomerError
        Not gzip, or cut off.
    """
    engine = zlib.decompressobj(wbits=31)
    is_fresh = True
    try:
        for piece in pieces:
            rest = piece
            while rest:
                if engine.eof:
                    engine = zlib.decompressobj(wbits=31)
                is_fresh = False
                if out := engine.decompress(rest, WRITE_BYTES):
                    yield out
                rest = engine.unconsumed_tail or engine.unused_data
    except zlib.error as error:
        raise CustomerError(f"{what} is not gzip, although CompressionType says so: {error}") from error
    if not is_fresh and not engine.eof:
        raise CustomerError(f"{what} ends in the middle of its gzip data")


class Feeder:
    """Feeds one channel's FIFOs from a thread of its own until it is stopped."""

    def __init__(self, folder: Path, name: str, epoch: Callable[[int], Iterator[bytes]]) -> None:
        """Make the FIFO of epoch 0, so that it is there before the program starts.

        Parameters
        ----------
        folder : Path
            `input/data`, as the agent sees it.
        epoch : callable
            Returns the bytes of an epoch.
        """
        self.name = name
        self.error: Exception | None = None
        """Why it ended early; the program then saw the end of its data."""
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._epoch = epoch
        self._stopped = threading.Event()
        self._writing = -1
        self._make(0)
        self._thread = threading.Thread(target=self._run, name=f"pipe-{name}", daemon=True)

    def start(self) -> None:
        """Begin to wait for a reader."""
        self._thread.start()

    def stop(self) -> None:
        """End, even while waiting for a reader, and remove the FIFOs."""
        self._stopped.set()
        while self._thread.is_alive():
            self._release()
            self._thread.join(0.01)
        for epoch in (self._writing, self._writing + 1):
            self._remove(epoch)
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def _release(self) -> None:
        """Open the reading end for a moment: a writer that waits for a reader goes on."""
        with contextlib.suppress(OSError):
            os.close(os.open(self._fifo(self._writing), os.O_RDONLY | os.O_NONBLOCK, dir_fd=self._folder))

    def _fifo(self, epoch: int) -> str:
        return f"{self.name}_{epoch}"

    def _make(self, epoch: int) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkfifo(self._fifo(epoch), _MODE, dir_fd=self._folder)

    def _remove(self, epoch: int) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._fifo(epoch), dir_fd=self._folder)

    def _run(self) -> None:
        epoch = 0
        try:
            while not self._stopped.is_set():
                self._writing = epoch
                descriptor = os.open(
                    self._fifo(epoch), os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder
                )
                self._make(epoch + 1)
                with os.fdopen(descriptor, "wb", buffering=0) as fifo:
                    if not self._stopped.is_set():
                        self._feed(fifo.fileno(), epoch)
                    self._remove(epoch)
                epoch += 1
        except CancelledError:
            return
        except Exception as error:
            self.error = error

    def _feed(self, descriptor: int, epoch: int) -> None:
        with contextlib.suppress(BrokenPipeError):  # the reader has enough of this epoch
            for piece in self._epoch(epoch):
                view = memoryview(piece)
                while view:
                    if self._stopped.is_set():
                        return
                    view = view[os.write(descriptor, view[:WRITE_BYTES]) :]
