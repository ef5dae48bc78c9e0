"""Artefacts: what a training job leaves behind, under `<S3OutputPath>/<job>/output/`.

/opt/ml/model       ──▶ model.tar.gz, or model/… uncompressed
/opt/ml/output/data ──▶ output.tar.gz, where it holds anything

Of several hosts the first publishes: the others hand it their files through the object store.
"""

import json
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from clary.compute.agent.host import INSIDE, Host
from clary.toolkit import archive, beneath
from clary.toolkit.objects import Objects

MODEL = "model"
DATA = "output/data"
_PARTS = (MODEL, DATA)
_SPOOL_BYTES = 16 << 20
"""Smaller archives never touch the disk."""
_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.02, 1.0

log = logging.getLogger(__name__)


def prefix(host: Host) -> str:
    """Return `<S3OutputPath>/<job>/output`."""
    root = str(host.spec.request["OutputDataConfig"]["S3OutputPath"]).rstrip("/")
    return f"{root}/{host.spec.name}/output"


class Publisher:
    """Publishes the artefacts of one training host.

    Parameters
    ----------
    patience : callable
        Returns the moment, on the monotonic clock, until which other hosts may be waited for.
    """

    def __init__(self, host: Host, objects: Objects, patience: Callable[[], float]) -> None:
        self._host = host
        self._objects = objects
        self._patience = patience

    def publish(self, *, with_model: bool) -> str:
        """Publish, or hand over; return the model's URI, empty where none was published.

        Raises
        ------
        CustomerError
            The bucket of `S3OutputPath` is missing or denied.
        ObjectsUnavailableError
            The object store stays away.
        """
        if not self._host.is_first:
            self._hand_over(with_model=with_model)
            return ""
        others, are_well = self._take_over() if len(self._host.spec.hosts) > 1 else ([], True)
        self._archive("output.tar.gz", DATA, others, only_if_any=True)
        return self._publish_model(others) if with_model and are_well else ""

    def _publish_model(self, others: Sequence[Path]) -> str:
        config = self._host.spec.request["OutputDataConfig"]
        if config.get("CompressionType") == "NONE":
            return self._publish_files([self._host.ml / MODEL, *[each / MODEL for each in others]])
        return self._archive("model.tar.gz", MODEL, others)

    def _publish_files(self, roots: Sequence[Path]) -> str:
        target = f"{prefix(self._host)}/{MODEL}/"
        wanted, seen = [], set()
        for root in roots:
            for found in beneath.walk(root):
                if found.is_file and found.name not in seen:
                    seen.add(found.name)
                    wanted.append((f"{target}{found.name}", _opener(root, found.name)))
        self._objects.upload_many(wanted)
        return target

    def _archive(
        self, name: str, part: str, others: Sequence[Path], *, only_if_any: bool = False, uri: str = ""
    ) -> str:
        """Pack one part of all hosts and upload it; return its URI, empty where there was nothing."""
        roots = [self._host.ml / part, *[each / part for each in others]]
        if only_if_any and all(beneath.is_empty(root) for root in roots):
            return ""
        uri = uri or f"{prefix(self._host)}/{name}"
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=str(self._host.work)) as file:
            left_out = archive.pack(file, roots, inside=f"{INSIDE}/{part}")
            if left_out:
                log.warning("not in %s, being no files below its folder: %s", name, ", ".join(left_out[:20]))
            if file.tell() < _SPOOL_BYTES:
                file.seek(0)
                self._objects.put(uri, file.read())
            else:
                file.flush()
                self._objects.upload(uri, file)
        return uri

    def _hand_over_uri(self, host: str, name: str) -> str:
        return f"{prefix(self._host)}/.clary/{self._host.spec.run_id}/{host}/{name}"

    def _hand_over(self, *, with_model: bool) -> None:
        """Leave this host's files for the first one; the marker goes last."""
        name = self._host.name
        for part in _PARTS:
            if part != MODEL or with_model:
                uri = self._hand_over_uri(name, f"{Path(part).name}.tar.gz")
                self._archive(f"{part} of {name}", part, (), only_if_any=True, uri=uri)
        marker = json.dumps({"is_well": with_model}).encode()
        self._objects.put(self._hand_over_uri(name, "ended.json"), marker)

    def _take_over(self) -> tuple[list[Path], bool]:
        """Wait for the other hosts, unpack what they left; return the folders, and whether all did well."""
        folders, are_well, used = [], True, []
        for host in self._host.spec.hosts[1:]:
            marker = self._await(self._hand_over_uri(host, "ended.json"))
            if not marker:
                log.warning("%s left nothing in time", host)
                continue
            are_well = are_well and bool(json.loads(marker)["is_well"])
            folder = self._host.work / "others" / host
            for part in _PARTS:
                uri = self._hand_over_uri(host, f"{Path(part).name}.tar.gz")
                if self._unpack(uri, folder / part):
                    used.append(uri)
            folders.append(folder)
            used.append(self._hand_over_uri(host, "ended.json"))
        self._objects.delete(used)
        return folders, are_well

    def _await(self, uri: str) -> bytes:
        """Read the marker once it is there; empty when patience ends before."""
        pause_s = _FIRST_LOOK_S
        while self._objects.head(uri) is None:
            if time.monotonic() > self._patience():
                return b""
            self._objects.pause(pause_s)
            pause_s = min(pause_s * 1.5, _LONGEST_LOOK_S)
        return self._objects.read(uri)

    def _unpack(self, uri: str, folder: Path) -> bool:
        found = self._objects.head(uri)
        if found is None:
            return False
        path = self._host.work / "other.tar.gz"
        path.unlink(missing_ok=True)
        self._objects.fetch([(found, path)])
        with path.open("rb") as file:
            archive.unpack(file, folder, what=uri)
        path.unlink()
        return True


def _opener(root: Path, name: str) -> Callable[[], BinaryIO]:
    return lambda: beneath.open_file(root, name)
