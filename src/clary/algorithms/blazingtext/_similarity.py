"""How alike people find words, and how alike their vectors are: WS-353's files and others of its kind.

Source: Finkelstein and others (2002), "Placing search in context", doi:10.1145/503104.503110; developer
guide, "Metrics Computed by the BlazingText Algorithm".
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._feed import files_of
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from clary.algorithms.base import Source

INSTALLED = ("gensim", "test/test_data/wordsim353.tsv")
"""A package that has the pairs, and where."""


def judgements(source: Source | None) -> dict[str, list[tuple[str, str, float]]]:
    """Return pairs of words and how alike people found them, by file; none where nobody gave any.

    Raises
    ------
    CustomerError
        A line of a file has no two words and a number.
    """
    if source is not None:
        return {path.name: _read(path, source.name) for path in files_of(source)}
    found = importlib.util.find_spec(INSTALLED[0])
    path = Path(found.origin or "").parent / INSTALLED[1] if found is not None else None
    return {path.name: _read(path, INSTALLED[0])} if path is not None and path.is_file() else {}


def _read(path: Path, channel: str) -> list[tuple[str, str, float]]:
    pairs = []
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = re.split(r"[\t,; ]+", line.strip().lower())
        try:
            pairs.append((parts[0], parts[1], float(parts[2])))
        except (ValueError, IndexError) as error:
            if not pairs and number == 1:
                continue  # names of columns
            raise CustomerError(
                f"Unable to read data channel '{channel}': {path.name}, line {number} has no two words and "
                "a number"
            ) from error
    return pairs


def evaluate(
    judged: Mapping[str, list[tuple[str, str, float]]], words: list[bytes], vectors: NDArray[np.float32]
) -> dict[str, Any]:
    """Return Spearman's correlation of each file, how many pairs have unknown words, and the mean."""
    places = {word: place for place, word in enumerate(words)}
    report: dict[str, Any] = {}
    for name, pairs in sorted(judged.items()):
        known = [
            (places[one.encode()], places[other.encode()], score)
            for one, other, score in pairs
            if one.encode() in places and other.encode() in places
        ]
        report[name] = {
            "not_found": len(pairs) - len(known),
            "spearmans_rho": _rho(known, vectors),
            "total_pairs": len(pairs),
        }
    rhos = [each["spearmans_rho"] for each in report.values()]
    return report | {"mean_rho": float(np.mean(rhos))}


def _rho(known: list[tuple[int, int, float]], vectors: NDArray[np.float32]) -> float:
    if len(known) < 2:
        return 0.0
    from scipy import stats  # noqa: PLC0415 - 0.3 s

    ones = vectors[[one for one, _, _ in known]].astype(np.float64)
    others = vectors[[other for _, other, _ in known]].astype(np.float64)
    sizes = np.linalg.norm(ones, axis=1) * np.linalg.norm(others, axis=1)
    alike = (ones * others).sum(axis=1) / np.maximum(sizes, 1e-12)
    scores = np.array([score for _, _, score in known])
    if np.ptp(alike) == 0 or np.ptp(scores) == 0:
        return 0.0
    return float(stats.spearmanr(alike, scores)[0])
