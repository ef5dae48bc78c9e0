"""Writing a backup."""

import contextlib
import io
import json
import os
import sqlite3
import tarfile
import tempfile
from functools import partial
from pathlib import Path

import clary
from clary.cli.backups import stored
from clary.cli.backups.ahead import Reader
from clary.cli.backups.archive import KEYS, Contents, add, add_file, added
from clary.gateway import objects
from clary.kernel.clock import now
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings
from clary.store import copying
from clary.store.database import Store


def write(settings: Settings, path: Path) -> Contents:
    """Write a backup of a Clary, running or not.

    The store is copied as of one moment, then the objects: all that the store names is there, unless it was
    deleted meanwhile.

    Raises
    ------
    SetupError
        There is nothing to back up, or a part cannot be read; no file is left then.
    """
    if not (settings.data_dir / KEYS[0]).exists():
        raise SetupError(f"no Clary has run in {settings.data_dir}: there is nothing to back up")
    partial = path.with_name(f".{path.name}.part")
    contents = Contents()
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                _write_all(settings, tar, contents, path.parent)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise SetupError(f"the backup cannot be written: {error}") from None
    finally:
        partial.unlink(missing_ok=True)
    return contents


def _write_all(settings: Settings, tar: tarfile.TarFile, contents: Contents, room: Path) -> None:
    about = {"clary": clary.__version__, "time": now().isoformat(), "objects": objects.is_embedded(settings)}
    add(tar, contents, "clary.json", io.BytesIO(json.dumps(about).encode()))
    with tempfile.TemporaryDirectory(prefix=".clary-backup-", dir=room) as folder:  # /tmp may be memory
        copied, whole = Path(folder) / "copied.db", Path(folder) / "store.db"
        secret = settings.data_dir / KEYS[0]
        with (
            Store.open(settings.store_dsn, secret) as source,
            Store.open(f"sqlite:///{copied}", secret) as target,
        ):
            contents.n_rows = sum(copying.copy(source, target).values())
        with contextlib.closing(sqlite3.connect(copied)) as plain:
            plain.execute("VACUUM INTO ?", (str(whole),))  # one file: what is in the log beside it, too
        with whole.open("rb") as file:
            add(tar, contents, whole.name, file)
    for name in KEYS:
        with contextlib.suppress(FileNotFoundError), (settings.data_dir / name).open("rb") as file:
            add(tar, contents, f"keys/{name}", file)
    volumes = settings.data_dir / "notebooks"
    for each in sorted(volumes.rglob("*")):  # notebooks that run write them meanwhile
        path = f"notebooks/{each.relative_to(volumes)}"
        added(tar, path, partial(add_file, tar, contents, each, path))
    if objects.is_embedded(settings):
        with stored.lent(settings) as there:
            stored.add_all(tar, contents, there, Reader(objects.load(settings)))
    sums = json.dumps(contents.sums).encode()
    add(tar, Contents(), "sums.json", io.BytesIO(sums))
