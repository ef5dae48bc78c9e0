"""TLS on a transport that already carried plain bytes.

    raw transport ── TlsLayer ── TlsTransport ── protocol

`loop.start_tls` cannot be given bytes that were already read, and the port must read one to tell TLS
from HTTP.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable
from typing import Any, cast

_READ_BYTES = 256 * 1024


class TlsTransport(asyncio.Transport):
    """What the protocol above TLS writes to."""

    def __init__(self, layer: "TlsLayer", raw: asyncio.Transport) -> None:
        super().__init__()
        self._layer = layer
        self._raw = raw

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the raw transport knows, and `ssl_object`."""
        if name == "ssl_object":
            return self._layer.tls
        return self._raw.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and queue bytes."""
        self._layer.send(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Encrypt and queue pieces as one."""
        self._layer.send(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Tell that TLS has no half-close."""
        return False

    def is_closing(self) -> bool:
        """Tell whether the connection is closing."""
        return self._raw.is_closing()

    def close(self) -> None:
        """Say goodbye, and close once what is queued is out."""
        self._layer.goodbye()
        self._raw.close()

    def abort(self) -> None:
        """Close at once."""
        self._raw.abort()

    def pause_reading(self) -> None:
        """Stop reading."""
        if not self._raw.is_closing():
            self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if not self._raw.is_closing():
            self._raw.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Say when writing pauses."""
        self._raw.set_write_buffer_limits(high=high, low=low)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are queued."""
        return self._raw.get_write_buffer_size()


class TlsLayer(asyncio.Protocol):
    """Server side of TLS between a raw transport and `protocol`.

    Attach with `raw.set_protocol(layer)`, then `begin(raw, first)` with the bytes already read.
    """

    def __init__(self, context: ssl.SSLContext, protocol: asyncio.Protocol) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._protocol = protocol
        self._is_open = False
        self._is_over = False

    def begin(self, raw: asyncio.Transport, first: bytes = b"") -> None:
        """Start on `raw`; the protocol above is connected at once, so that its clock covers the handshake."""
        self._raw = raw
        raw.set_protocol(self)
        self._protocol.connection_made(TlsTransport(self, raw))
        raw.resume_reading()
        if first:
            self.data_received(first)

    def data_received(self, data: bytes) -> None:
        """Decrypt what came."""
        self._incoming.write(data)
        try:
            if not self._is_open:
                self.tls.do_handshake()
                self._is_open = True
            pieces = []
            while True:
                try:
                    piece = self.tls.read(_READ_BYTES)
                except ssl.SSLWantReadError:
                    break
                except ssl.SSLZeroReturnError:
                    piece = b""
                if not piece:
                    self._is_over = True
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError:
            self._flush()  # the alert that tells the client why
            self._raw.close()
            return
        self._flush()
        if pieces:
            self._protocol.data_received(b"".join(pieces))
        if self._is_over and not self._raw.is_closing() and not self._protocol.eof_received():
            self._raw.close()

    def send(self, plain: bytes | bytearray | memoryview) -> None:
        """Encrypt and queue bytes."""
        if not self._is_open or self._raw.is_closing() or not plain:
            return
        view = memoryview(plain)
        while view:
            view = view[self.tls.write(cast(bytes, view)) :]
        self._flush()

    def goodbye(self) -> None:
        """Queue TLS's own end."""
        if not self._is_open or self._raw.is_closing():
            return
        with contextlib.suppress(ssl.SSLError, ValueError):  # the client's own goodbye need not be there
            self.tls.unwrap()
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending and not self._raw.is_closing():
            self._raw.write(self._outgoing.read())

    def eof_received(self) -> bool:
        """Hear that the client is gone."""
        self._protocol.eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._protocol.resume_writing()
