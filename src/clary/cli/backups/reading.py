"""Reading a backup: into an empty data folder, or to check it."""

import contextlib
import json
import os
import tarfile
import tempfile
from pathlib import Path

from clary.cli.backups import stored
from clary.cli.backups.archive import KEYS, Contents, Summed, members, opened
from clary.kernel.clock import now
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings
from clary.store import copying, nodes
from clary.store.database import Store
from clary.store.times import to_micros
from clary.toolkit.objects import Objects

CHUNK_BYTES = 1 << 20


def read(path: Path, settings: Settings) -> Contents:
    """Put a backup into an empty data folder, every byte checked against its sum.

    Raises
    ------
    SetupError
        The folder holds a Clary already, the file is no backup, or it is damaged.
    """
    folder = settings.data_dir
    if any((folder / name).exists() for name in (*KEYS, "clary.db", "objects")):
        raise SetupError(f"{folder} holds a Clary already; name an empty folder with --data-dir")
    verify(path)
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    contents = Contents()
    with opened(path) as tar:
        few = [each for each in members(tar) if not each.name.startswith("objects/")]
        for member in few:
            if (name := member.name.removeprefix("keys/")) in KEYS:
                _place(tar, member, folder / name)
        for member in few:
            if member.name == "store.db":
                _fill_store(tar, member, settings, contents)
            elif member.name.startswith("notebooks/"):
                tar.extract(member, folder, numeric_owner=True, filter="tar")
    with opened(path) as tar, contextlib.ExitStack() as stack:
        there: Objects | None = None
        for member in members(tar):
            if member.name.startswith("objects/"):
                there = there or stack.enter_context(stored.lent(settings))
                stored.put(tar, member, there, contents)
    return contents


def verify(path: Path) -> Contents:
    """Read a backup to its end and check every sum.

    Raises
    ------
    SetupError
        It is none, or it is damaged; the text names the member.
    """
    contents = Contents()
    sums: dict[str, str] = {}
    with opened(path) as tar:
        for member in members(tar):
            file = tar.extractfile(member) if member.isreg() else None
            if file is None:
                continue
            if member.name == "sums.json":
                sums = json.loads(file.read())
                continue
            summed = Summed(file)
            while summed.read(CHUNK_BYTES):
                pass
            contents.sums[member.name] = summed.digest.hexdigest()
            contents.n_bytes += summed.n_bytes
            contents.n_objects += member.name.startswith("objects/")
    if "store.db" not in sums:
        raise SetupError(f"{path} is no backup of Clary, or it was cut off")
    wrong = [name for name, told in sums.items() if contents.sums.get(name) != told]
    if wrong:
        raise SetupError(f"{path} is damaged: {len(wrong)} members differ, the first is {wrong[0]}")
    return contents


def _place(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = tar.extractfile(member)
    assert source is not None
    path.parent.mkdir(mode=0o755, exist_ok=True)
    mode = 0o644 if path.suffix == ".pem" else 0o600  # a certificate is for everybody
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        while piece := source.read(CHUNK_BYTES):
            file.write(piece)


def _fill_store(
    tar: tarfile.TarFile, member: tarfile.TarInfo, settings: Settings, contents: Contents
) -> None:
    key = settings.data_dir / KEYS[0]
    with tempfile.TemporaryDirectory(prefix=".clary-restore-", dir=settings.data_dir) as scratch:
        copied = Path(scratch) / "store.db"
        _place(tar, member, copied)
        with Store.open(f"sqlite:///{copied}", key) as source, Store.open(settings.store_dsn, key) as target:
            contents.n_rows = sum(copying.copy(source, target).values())
            target.write(nodes.give_up_all, to_micros(now()))
