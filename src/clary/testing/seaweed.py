"""A SeaweedFS of several machines, as one would run it beside Clary: for tests of "any S3 by URL".

master ── several volume servers, every object on two of them ── filer with its S3 door
"""

import asyncio
import contextlib
import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clary.gateway import objects
from clary.gateway.objects import Objects
from clary.kernel import ids
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

READY_S = 60.0
KEPT = ("PATH", "HOME", "TMPDIR")
"""Of the environment: `weed` would take others for settings."""


def missing() -> str:
    """Return why there can be no cluster here; empty where there can."""
    try:
        objects.find_weed(Settings.load())
    except SetupError as error:
        return str(error)
    return ""


@dataclass
class Cluster:
    """A cluster that runs."""

    home: Path
    port: int
    """First of its ports."""
    access_key: str
    secret_key: str
    volumes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        """URL of its S3."""
        return f"http://127.0.0.1:{self.port + 2}"

    @property
    def settings(self) -> dict[str, str]:
        """`CLARY_*` variables of a Clary on it, by their names without the prefix, in lower case."""
        return {
            "objects_url": self.endpoint,
            "objects_access_key": self.access_key,
            "objects_secret_key": self.secret_key,
        }

    def trouble(self) -> str:
        """Return why it cannot take an object; empty where it can."""
        store = Objects(endpoint=self.endpoint, access_key=self.access_key, secret_key=self.secret_key)
        return asyncio.run(objects.trouble(store, writes=True))

    def kill_volume(self, n: int) -> None:
        """Kill a volume server outright."""
        self.volumes[n].kill()
        self.volumes[n].wait()


@contextlib.contextmanager
def cluster(*, n_volumes: int = 3, replication: str = "001") -> Iterator[Cluster]:
    """Run a cluster on loopback until the block ends.

    Parameters
    ----------
    replication : str
        SeaweedFS's own notation: `001` keeps each object on one more server.
    """
    weed = str(objects.find_weed(Settings.load()))
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    with tempfile.TemporaryDirectory(prefix="clary-weed-") as folder, contextlib.ExitStack() as running:
        home = Path(folder)
        made = Cluster(home, _ports(3 + n_volumes), ids.access_key_id(), ids.secret_access_key())
        keys = [{"accessKey": made.access_key, "secretKey": made.secret_key}]
        identity = {"name": "clary", "credentials": keys, "actions": ["Admin"]}
        (home / "s3.json").write_text(json.dumps({"identities": [identity]}))

        def start(name: str, *options: str) -> "subprocess.Popen[bytes]":
            (home / name).mkdir()
            log = running.enter_context((home / f"{name}.log").open("wb"))
            process = subprocess.Popen(  # noqa: S603 - SeaweedFS's own
                [weed, "-logtostderr=true", *options],
                cwd=home / name,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            running.callback(_end, process)
            return process

        master, local = f"127.0.0.1:{made.port}", ("-ip=127.0.0.1", "-ip.bind=127.0.0.1")
        size = ("-volumeSizeLimitMB=64", "-telemetry=false")
        start("master", "master", *local, f"-port={made.port}", f"-mdir={home / 'master'}", *size)
        for n in range(n_volumes):
            port = (f"-port={made.port + 3 + n}", f"-master={master}", "-max=200", "-preStopSeconds=0")
            made.volumes.append(start(f"volume-{n}", "volume", *local, *port, f"-dir={home / f'volume-{n}'}"))
        doors = (f"-port={made.port + 1}", "-s3", f"-s3.port={made.port + 2}")
        s3 = (f"-s3.config={home / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0")
        kept = (f"-master={master}", f"-defaultReplicaPlacement={replication}")
        start("filer", "filer", *local, *doors, *s3, *kept, f"-defaultStoreDir={home / 'filer'}")
        deadline = time.monotonic() + READY_S
        while why := made.trouble():
            assert time.monotonic() < deadline, why
            time.sleep(0.1)
        yield made


def _ports(n: int) -> int:
    """Return the first of `n` free ports in a row, their gRPC twins free, too."""
    for _ in range(200):
        first = random.randrange(14_000, 22_000)  # noqa: S311 - spreads servers over ports, guards nothing
        if objects.are_free(range(first, first + n)):
            return first
    raise SetupError("no block of free ports for SeaweedFS on 127.0.0.1")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
