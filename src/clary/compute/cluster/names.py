"""What a Clary is called on a cluster, and where its nodes find it."""

import secrets
import socket
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from clary.compute.cluster.line import Far
from clary.compute.cluster.link import address_of
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

NODE_FILE = "node"
"""Where a node of several control planes has its id, in its data folder."""
GPUS_FILE = "cluster.gpus"


def name_of(node: str) -> str:
    """Return the name under which the cluster knows one of several control planes."""
    return f"clary-{node}"


def namespace(settings: Settings) -> str:
    """Return the name by which the cluster knows this Clary: its node's, so that others can end its runs."""
    path, node = settings.data_dir / "cluster.name", settings.data_dir / NODE_FILE
    if not path.exists():
        path.write_text(name_of(node.read_text().strip() if node.exists() else secrets.token_hex(6)))
    return path.read_text()


def remember(settings: Settings) -> None:
    """Write down where the cluster is: for whoever ends what goes on there without the platform."""
    (settings.data_dir / "cluster.where").write_text(settings.cluster)


def remembered(settings: Settings) -> Settings:
    """Return settings that say where the cluster is, as long as anything does."""
    path = settings.data_dir / "cluster.where"
    if settings.cluster or not path.exists():
        return settings
    return replace(settings, cluster=path.read_text())


def offer_gpus(settings: Settings, most: int) -> None:
    """Write down how many GPUs the largest node has, once it is the largest of all so far."""
    known = offered_gpus(settings)
    if known is None or most > known:
        (settings.data_dir / GPUS_FILE).write_text(f"{most} {settings.cluster}")


def offered_gpus(settings: Settings) -> int | None:
    """Return how many GPUs a host may ask for: those of the largest node that the cluster has had.

    None where it has not told yet.
    """
    try:
        most, _, cluster = (settings.data_dir / GPUS_FILE).read_text().partition(" ")
        return int(most) if cluster == settings.cluster else None
    except (OSError, ValueError):
        return None


def far_of(settings: Settings) -> dict[str, Any] | None:
    """Return where the nodes find Clary; nothing where no Clary listens."""
    authority = settings.data_dir / "certificates/ca.pem"
    if not authority.exists():
        return None
    host, port = advertised(settings)
    given = {"near": urlsplit(settings.url).netloc, "registry": settings.registry}
    return Far(host=host, port=port, authority=authority.read_text(), **given).to_json()


def advertised(settings: Settings) -> tuple[str, int]:
    """Return host and port at which the nodes of the cluster reach Clary.

    Raises
    ------
    SetupError
        `CLARY_ADVERTISE` is no address.
    """
    if settings.advertise:
        host, _, port = settings.advertise.rpartition(":")
        if not host or not port.isdecimal():
            raise SetupError(f"CLARY_ADVERTISE is {settings.advertise!r}; it must be HOST:PORT")
        return host.strip("[]"), int(port)
    parts = urlsplit(address_of(settings.cluster)[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # sends nothing: it asks for the way
        probe.connect((parts.hostname or "", parts.port or 0))
        return str(probe.getsockname()[0]), settings.port
