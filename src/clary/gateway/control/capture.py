"""Empties the spools of captured invocations into S3."""

import logging
import os
import threading
import uuid
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from clary.engine.world import World
from clary.kernel.errors import CustomerError
from clary.services.s3.bucket import owner_of
from clary.serving import capture
from clary.serving.capture import PART, READY, Home
from clary.toolkit.objects import Objects, split_uri

LOOK_S = 0.5
BATCH_BYTES = 64 << 20
"""Of spools that are read together."""

log = logging.getLogger(__name__)


class Uploader:
    """A thread that looks for spools which edges are done with."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._folder = world.settings.data_dir / "capture"
        world.extras["capture_spool"] = str(self._folder)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> "Uploader":
        """Begin; first with what an earlier life left."""
        self._thread.start()
        return self

    def close(self) -> None:
        """End; spools wait for the next life."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(LOOK_S):
            try:
                self.empty()
            except Exception:
                log.exception("captured invocations wait: they could not be uploaded")
                self._closing.wait(LOOK_S * 10)

    def empty(self) -> None:
        """Upload every spool that no edge writes any more, and delete it."""
        spools, size = [], 0
        for path in sorted(self._folder.glob("*")):
            if path.suffix == READY or (path.suffix == PART and not _is_alive(path)):
                spools.append(path)
                size += path.stat().st_size
            if size >= BATCH_BYTES:
                break
        if not spools:
            return
        found = chain.from_iterable(capture.read(path.read_bytes()) for path in spools)
        for (home, _hour), lines in capture.grouped(found).items():
            self._put(home, lines, name=_name(spools, home))
        for path in spools:
            path.unlink(missing_ok=True)

    def _put(self, home: Home, lines: list[tuple[int, str]], *, name: str) -> None:
        objects: Objects = self._world.extras["objects"]
        uri = capture.key_of(home, lines[0][0], name)
        bucket, _key = split_uri(uri)
        owner = self._world.store.read(owner_of, bucket)
        if owner is None or owner.account != home.account:
            text = "%d captured invocations are dropped: %s has no bucket %s"
            log.error(text, len(lines), home.account, bucket)
            return
        body = "".join(f"{text}\n" for _ms, text in lines).encode()
        try:
            objects.put(uri, body, content_type="application/x-ndjson")
        except CustomerError as error:
            log.error("%d captured invocations are dropped: %s", len(lines), error)


def _name(spools: Iterable[Path], home: Home) -> str:
    """Return the same name for the same spools: an upload that is done twice overwrites itself."""
    marks = ":".join([*(path.stem for path in spools), *home])
    return str(uuid.uuid5(uuid.NAMESPACE_URL, marks))


def _is_alive(path: Path) -> bool:
    """Say whether the edge that writes a spool lives."""
    try:
        os.kill(int(path.name.partition("-")[0]), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError):
        return True
    return True
