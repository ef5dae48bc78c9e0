"""The decision of a model: `decision.json` beside its weights, and what reads it."""

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clary.toolkit.evaluation.base import Vector

FILE = "decision.json"


@dataclass(frozen=True)
class Decision:
    """What makes classes of scores, at the least cost that an evaluation found."""

    kind: str = "binary"
    threshold: float = 0.5
    positive: str = "1"
    classes: tuple[str, ...] = ()
    cost_matrix: list[list[float]] = field(default_factory=list)

    @classmethod
    def load(cls, model_dir: str | Path) -> "Decision":
        """Read a model folder's `decision.json`; where there is none, threshold 0.5."""
        path = Path(model_dir) / FILE
        return cls.of(json.loads(path.read_text())) if path.is_file() else cls()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Decision":
        """Read the document."""
        return cls(
            kind=document.get("kind", "binary"),
            threshold=float(document.get("threshold", 0.5)),
            positive=str(document.get("positive", "1")),
            classes=tuple(document.get("classes", ())),
            cost_matrix=document.get("cost_matrix") or [],
        )

    def __call__(self, scores: Any) -> NDArray[Any]:
        """Return the class of each row: 0 or 1 of scores, a class's name of rows of probabilities."""
        values: Vector = np.asarray(scores, dtype=np.float64)
        names = np.asarray(self.classes, dtype=object)
        if self.kind == "binary":
            return (values >= self.threshold).astype(np.int64)
        worth = -values @ np.asarray(self.cost_matrix) if self.cost_matrix else values
        called: NDArray[Any] = names[worth.argmax(axis=1)]
        return called


def export(model: str | Path, decision: Mapping[str, Any]) -> Path:
    """Put `decision.json` into a model folder, or into a `model.tar.gz`; return where.

    An archive is written anew and takes the old one's place at once; all else in it stays as it is.
    """
    path = Path(model)
    text = json.dumps(dict(decision), indent=1).encode()
    if path.is_dir():
        (path / FILE).write_bytes(text)
        return path / FILE
    beside = path.with_name(f".{path.name}.new")
    with tarfile.open(path) as old, tarfile.open(beside, "w:gz") as new:
        for member in old:
            if member.name.removeprefix("./") != FILE:
                new.addfile(member, old.extractfile(member) if member.isfile() else None)
        entry = tarfile.TarInfo(FILE)
        entry.size = len(text)
        new.addfile(entry, io.BytesIO(text))
    beside.replace(path)
    return path
