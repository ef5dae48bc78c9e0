"""JupyterLab itself: its command, whether it answers, and whether anybody uses it."""

import contextlib
import http.client
import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from clary.compute import sandbox
from clary.compute.agent.host import Host
from clary.compute.agent.notebooks import home
from clary.compute.agent.packages import FOLDER
from clary.compute.agent.programmes.serving import SOCKET_FOLDER
from clary.kernel.settings import Settings

SOCKET = "lab.sock"
ASK_S = 5.0
"""For one answer."""


def command(host: Host) -> tuple[str, ...]:
    """Return the command of JupyterLab.

    It listens on a socket that the edge alone can reach, so it asks for no token of its own; its check of
    cross-site requests stays on. Kernels speak over sockets in the sandbox: loopback is shared with others.
    """
    is_boxed = sandbox.means(Settings.load()).kind != "none"
    repositories = home.members(host.spec.request, "Repositories")
    first = f"/{home.repository_name(repositories[0]['RepositoryUrl'])}" if repositories else ""
    return (
        f"{FOLDER}/bin/python",
        "-m",
        "jupyterlab",
        f"--ServerApp.sock={SOCKET_FOLDER}/{SOCKET}",
        f"--ServerApp.base_url={host.spec.request['Path']}/",
        f"--ServerApp.root_dir={home.VOLUME}",
        f"--ServerApp.preferred_dir={home.VOLUME}{first}",
        f"--ServerApp.terminals_enabled={is_boxed}",
        "--ServerApp.open_browser=False",
        "--ServerApp.allow_remote_access=True",
        "--ServerApp.allow_root=True",
        "--IdentityProvider.token=",
        "--PasswordIdentityProvider.allow_password_change=False",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        *(("--KernelManager.transport=ipc",) if is_boxed else ()),
    )


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, address: str) -> None:
        super().__init__("localhost", timeout=ASK_S)
        self._address = address

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ASK_S)
        self.sock.connect(self._address)


def ask(address: str, path: str) -> Any:
    """Return JupyterLab's answer to a GET.

    Raises
    ------
    OSError, ValueError, http.client.HTTPException
        It does not answer, or not well.
    """
    with contextlib.closing(_Connection(address)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise ValueError(f"HTTP {answer.status}: {body[:200].decode(errors='replace')}")
        return json.loads(body)


def idle_s(answer: Callable[[str], Any], now: datetime) -> float:
    """Return how long nobody has used JupyterLab; 0 while a kernel works.

    Parameters
    ----------
    answer : callable
        Returns the answer to a path below the base path.
    """
    if any(each.get("execution_state") == "busy" for each in answer("api/kernels?no_track_activity=1")):
        return 0.0
    last = datetime.fromisoformat(str(answer("api/status")["last_activity"]).replace("Z", "+00:00"))
    return max(0.0, (now - last.astimezone(UTC)).total_seconds())
