"""A small process that removes a container when the agent that started it is gone, however it went.

    python -I -S _guard.py <engine> <container> <network> [podman …]

    stdin: `done` lets it go, its end does not

Where Clary runs Podman's service itself, that may have ended before: then Podman's own command does it.

It imports nothing of Clary: it is there in 15 ms, and outlives whatever kills agents.
"""

import http.client
import socket
import sys
import time
from urllib.parse import urlsplit

PATIENCE_S = 600.0
"""For an engine that is away itself."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=60.0)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def main(url: str, container: str, network: str, *podman: str) -> int:
    """Wait for one of the two ends."""
    if sys.stdin.buffer.read(4) == b"done":
        return 0
    targets: dict[str, tuple[str, ...]] = {
        f"/containers/{container}?force=1&v=1": ("rm", "--force", "--ignore", "--volumes", container)
    }
    if network:
        targets[f"/networks/{network}"] = ("network", "rm", network)
    until = time.monotonic() + PATIENCE_S
    for target, words in targets.items():
        while not _removed(url, target) and time.monotonic() < until:
            if podman and _ran(*podman, *words):
                break
            time.sleep(1.0)
    return 0


def _ran(*argv: str) -> bool:
    """Run a command of Podman's; a network that stays has another host in it, which takes it along."""
    import subprocess  # noqa: PLC0415 - hardly ever needed

    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603
    return done.returncode == 0 or "network" in argv


def _removed(url: str, target: str) -> bool:
    """Remove; a network in which another host still is goes with that one."""
    parts = urlsplit(url)
    is_unix = parts.scheme == "unix"
    connection = _UnixConnection(parts.path) if is_unix else http.client.HTTPConnection(parts.netloc)
    try:
        connection.request("DELETE", target)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
