"""Model files of NumPy arrays: `.npz` archives named as the service names models, equal for equal arrays."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL_FILE = "model_algo-1"
"""Source: developer guide, "How the k-NN Algorithm Works", and the containers' artefacts."""
_BEGINNING = (1980, 1, 1, 0, 0, 0)


def save(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write named arrays; `numpy.load(path)` opens them. No time of day is in the bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, values in arrays.items():
            stream = io.BytesIO()
            np.save(stream, np.asarray(values), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _BEGINNING), stream.getbuffer())


def load(path: Path, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read named arrays.

    Raises
    ------
    CustomerError
        No such file, no archive of arrays, or one of `names` is not in it.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise CustomerError(
            f"Unable to load model: there is no file {path.name} in {path.parent.name}"
        ) from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise CustomerError(
            f"Unable to load model: {path.name} is not a NumPy archive ({error}); a model that the service "
            "itself wrote is an MXNet file, which Clary does not read"
        ) from error
    missing = [name for name in names if name not in found]
    if missing:
        raise CustomerError(f"Unable to load model: {path.name} has no array {', '.join(missing)}")
    return found


def find(folder: Path) -> Path:
    """Return the model's file: `model_algo-1`, of whichever host wrote it."""
    path = folder / MODEL_FILE
    if path.is_file():
        return path
    others = sorted(
        each
        for each in folder.glob("model_algo-*")
        if each.is_file() and each.suffix not in {".json", ".labels"}
    )
    return others[0] if others else path
