"""Readiness probes: does it answer, not does it say so in its log."""

import asyncio
from pathlib import Path

TIMEOUT_S = 2.0


async def http(path: str, *, host: str = "", port: int = 0, socket: Path | None = None) -> str:
    """GET `path`, over TCP or a unix socket; return an empty text when it answers 200, else why not."""
    where = str(socket) if socket else f"{host}:{port}"
    try:
        async with asyncio.timeout(TIMEOUT_S):
            status = await _status(path, host, port, socket)
    except TimeoutError:
        return f"{where} did not answer within {TIMEOUT_S:g} s"
    except (OSError, ValueError, IndexError) as error:
        return f"{where}: {error or type(error).__name__}"
    return "" if status == 200 else f"{where}{path} answered {status}"


async def listens(socket: Path) -> str:
    """Connect to a unix socket; return an empty text when someone accepts, else why not."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _, writer = await asyncio.open_unix_connection(str(socket))
    except (OSError, TimeoutError) as error:
        return f"{socket}: {error}"
    writer.close()
    return ""


async def _status(path: str, host: str, port: int, socket: Path | None) -> int:
    opening = asyncio.open_unix_connection(str(socket)) if socket else asyncio.open_connection(host, port)
    reader, writer = await opening
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: {host or 'clary'}\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        status = int((await reader.readline()).split()[1])
        await reader.read(65_536)
        return status
    finally:
        writer.close()
