"""From channels to the library's matrices."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xgboost

from clary.algorithms import _packed
from clary.algorithms.xgboost import _artifact
from clary.kernel.errors import CustomerError
from clary.toolkit.formats import csv, libsvm, parquet, recordio_protobuf
from clary.toolkit.formats.base import FormatError, MediaType, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.algorithms.base import Source

GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
"""Begins and ends a file of Parquet."""


def files_of(source: Source) -> list[Path]:
    """Return the data files of a channel, nested folders included, in the order of their names."""
    if source.mode == "Pipe":
        return [source.path.with_name(f"{source.path.name}_0")]
    if source.path.is_file():
        return [source.path]
    return sorted(
        path
        for path in source.path.rglob("*")
        if path.is_file() and not path.name.startswith((".", "_")) and path.stat().st_size
    )


def read(source: Source, *, has_weights: bool) -> Table:
    """Read a channel's rows on this host; none where it has no files.

    Raises
    ------
    CustomerError
        The content type is none that XGBoost reads, or a file is not of it.
    """
    paths = files_of(source)
    if source.mode == "Pipe":
        with tempfile.TemporaryDirectory(prefix="pipe-") as name:
            return _table(source, _drained(source, Path(name)), None, has_weights=has_weights)
    if not any(_is_gzip(path) for path in paths):
        return _table(source, paths, source.path, has_weights=has_weights)
    root = source.path if source.path.is_dir() else source.path.parent
    with tempfile.TemporaryDirectory(prefix="plain-") as name:
        folder = Path(name) / source.path.name
        plain = [_unzipped(path, folder / path.relative_to(root)) for path in paths]
        return _table(source, plain, folder, has_weights=has_weights)


def _drained(source: Source, folder: Path) -> list[Path]:
    """Return what a FIFO held, as files below `folder`: one, or one for each file of Parquet."""
    [fifo] = files_of(source)
    try:
        with fifo.open("rb") as stream, (folder / fifo.name).open("wb") as whole:
            packed = stream.peek(2)[:2] == GZIP
            shutil.copyfileobj(gzip.GzipFile(fileobj=stream) if packed else stream, whole, 1 << 20)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CustomerError(f"Failed to load data: {_packed.broken(source, fifo.name, error)}") from error
    if MediaType.parse(source.content_type).name not in parquet.CONTENT_TYPES:
        return [folder / fifo.name]
    pieces = (folder / fifo.name).read_bytes().split(2 * _PARQUET)
    paths = [folder / f"{fifo.name}, file {number}" for number in range(1, len(pieces) + 1)]
    for path, piece in zip(paths, pieces, strict=True):
        start = b"" if path is paths[0] else _PARQUET
        path.write_bytes(start + piece + (b"" if path is paths[-1] else _PARQUET))
    return paths


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == GZIP


def _unzipped(path: Path, target: Path) -> Path:
    """Return the file, or what it holds, written to `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not _is_gzip(path):
        target.symlink_to(path.resolve())
        return target
    try:
        with gzip.open(path) as packed, target.open("wb") as stream:
            shutil.copyfileobj(packed, stream, 1 << 20)
    except (EOFError, OSError, zlib.error) as error:
        raise CustomerError(f"Failed to load data: {path.name} is broken gzip: {error}") from error
    return target


def _table(source: Source, paths: list[Path], folder: Path | None, *, has_weights: bool) -> Table:
    media = MediaType.parse(source.content_type)
    try:
        if media.name in csv.CONTENT_TYPES:
            _check_label_size(source.content_type, media)
            return csv.read(
                paths,
                has_weights=has_weights,
                delimiter=media.parameters.get("delimiter") or None,
                folder=folder,
            )
        if media.name in parquet.CONTENT_TYPES:
            return parquet.read(paths, folder=folder)
        if media.name in recordio_protobuf.CONTENT_TYPES:
            return recordio_protobuf.read(paths, folder=folder)
        if media.name in {"", *libsvm.CONTENT_TYPES}:
            return libsvm.read(paths, folder=folder)
    except FormatError as error:
        hint = (
            "" if media.name else f"; channel {source.name} has no ContentType, so it is read as text/libsvm"
        )
        if source.mode == "Pipe":
            hint += _packed.hint(source, b"".join(path.read_bytes() for path in paths))
        raise CustomerError(f"Failed to load data of channel {source.name}: {error}{hint}") from error
    known = (
        *csv.CONTENT_TYPES,
        *libsvm.CONTENT_TYPES,
        *parquet.CONTENT_TYPES,
        *recordio_protobuf.CONTENT_TYPES,
    )
    raise CustomerError(f"{source.content_type} is not an accepted ContentType: {', '.join(known)}.")


def _check_label_size(content_type: str, media: MediaType) -> None:
    if media.parameters.get("label_size", "1") != "1":
        raise CustomerError(
            f"{content_type} is not an accepted csv ContentType. "
            "Optional parameter label_size must be equal to 1"
        )


def fit_widths(tables: Mapping[str, Table], width: int) -> None:
    """Widen sparse tables, by the names of their channels, to `width`: the largest index differs.

    Raises
    ------
    CustomerError
        Dense ones differ.
    """
    for table in tables.values():
        if table.n_columns == width or not table.n_rows:
            continue
        if isinstance(table.features, np.ndarray):
            widths = ", ".join(f"{name} has {each.n_columns}" for name, each in tables.items())
            raise CustomerError(f"Channels differ in their number of features: {widths}")
        table.features.resize((table.n_rows, width))


def matrix(table: Table, objective: str, n_threads: int) -> xgboost.DMatrix:
    """Return the library's form of a table.

    Raises
    ------
    CustomerError
        Labels are missing.
    """
    labels = table.labels
    if labels is None or (table.n_rows and not labels.size):
        raise CustomerError("Got input data without labels. Please check the input data set.")
    order = None
    if table.groups is not None and (np.diff(table.groups) < 0).any():
        order = np.argsort(table.groups, kind="stable")  # the library wants the rows of a query together
    bounds = {}
    if objective == "survival:aft":
        bounds = {"label_lower_bound": labels, "label_upper_bound": labels}
    return xgboost.DMatrix(
        table.features if order is None else table.features[order],
        label=labels if order is None else labels[order],
        weight=table.weights,
        qid=table.groups if order is None or table.groups is None else table.groups[order],
        nthread=n_threads,
        **bounds,
    )


def earlier_model(source: Source) -> xgboost.Booster:
    """Load the model of channel `model`: `xgboost-model`, alone or in a `model.tar.gz`.

    Raises
    ------
    CustomerError
        There is none, or it cannot be read.
    """
    for path in sorted(source.path.rglob("*")) if source.path.is_dir() else [source.path]:
        if path.name == _artifact.MODEL_FILE:
            return _artifact.from_bytes(path.read_bytes(), f"channel {source.name}")
        if path.name.endswith((".tar.gz", ".tgz", ".tar")):
            content = _member(path)
            if content is not None:
                return _artifact.from_bytes(content, f"channel {source.name}, {path.name}")
    raise CustomerError(
        f"Channel {source.name} has no file {_artifact.MODEL_FILE}, and no model.tar.gz that holds one"
    )


def _member(path: Path) -> bytes | None:
    """Return `xgboost-model` out of an archive, read in memory: nothing is unpacked."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and member.name.removeprefix("./") == _artifact.MODEL_FILE:
                    stream = archive.extractfile(member)
                    return stream.read() if stream else None
    except (tarfile.TarError, OSError, EOFError) as error:
        raise CustomerError(f"{path.name} is not a tar archive: {error}") from error
    return None
