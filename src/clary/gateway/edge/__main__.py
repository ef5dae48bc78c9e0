"""`python -m clary.gateway.edge`: one edge process, set by `CLARY_*`."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from pathlib import Path

from clary.gateway.connect import upstream_proxy
from clary.gateway.edge.accesslog import AccessLog
from clary.gateway.edge.server import Edge
from clary.gateway.listener import listen
from clary.kernel.settings import Settings

SWITCH_S = 0.0005
"""That a thread (hashing, loading a model in place) may keep the event loop waiting; Python's own is 5 ms."""


async def _serve(settings: Settings) -> None:
    listener = listen(settings.host, settings.port)
    path = os.environ.get("CLARY_ACCESS_LOG", "")
    edge = Edge(
        settings,
        access_log=AccessLog(Path(path)) if path else None,
        upstream_proxy=upstream_proxy(os.environ, settings),
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await edge.serve(listener, stop)


def main() -> int:
    """Run until told to stop; 0 when every request in flight was answered."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s edge %(levelname)s %(message)s")
    settings = Settings.load()
    with contextlib.suppress(ImportError):  # Windows has none; asyncio's own loop serves there
        import uvloop  # noqa: PLC0415 - see above

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    sys.setswitchinterval(SWITCH_S)
    gc.freeze()
    try:
        asyncio.run(_serve(settings))
    except OSError as error:
        sys.stderr.write(f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
