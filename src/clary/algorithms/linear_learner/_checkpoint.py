"""How far training is after an epoch, kept so that a job which is started again goes on from there."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clary.algorithms import _artifact
from clary.algorithms._log import say

if TYPE_CHECKING:
    from pathlib import Path

    from clary.algorithms._hosts import Hosts
    from clary.algorithms.linear_learner._models import Models

FILE = "linear-learner-state"


@dataclass
class Standing:
    """What early stopping goes by."""

    epoch: int = 0
    """Epochs that are done."""
    n_waiting: int = 0
    """Of these, those since the loss got better."""
    best: float = np.inf
    """Least loss."""


def save(folder: Path | None, standing: Standing, models: Models) -> None:
    """Leave a checkpoint; a job that is killed leaves the one before, whole."""
    if folder is None:
        return
    draft = folder / f".{FILE}"
    _artifact.save(draft, {**vars(standing), **models.state})
    draft.replace(folder / FILE)


def resume(folder: Path | None, hosts: Hosts, models: Models) -> Standing:
    """Return where the first host's checkpoint stands, with all hosts' models as they were there."""
    content = b""
    if folder is not None and hosts.is_first and (folder / FILE).is_file():
        content = (folder / FILE).read_bytes()
    content = hosts.gather(content)[0]
    if not content:
        return Standing()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            found = dict(archive)
        standing = Standing(*(found.pop(name).item() for name in vars(Standing())))
        models.restore(found)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        say(f"The checkpoint is none of these models; starting anew: {error}", "WARNING")
        return Standing()
    say(f"Resuming from epoch {standing.epoch}")
    return standing
