"""Prediction: what the network says of a pair, or the encoding of one side.

Source: developer guide, "Data Formats for Object2Vec Inference" and "Encoder Embeddings for Object2Vec".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _artifact
from clary.algorithms._instances import InstancePredictor, documents, refused
from clary.algorithms.base import Refusal
from clary.algorithms.object2vec._network import Network, Shape
from clary.algorithms.object2vec._pairs import SIDES, TokenError, Tokens, sequence
from clary.kernel.errors import CustomerError
from clary.toolkit.formats.base import MediaType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from clary.algorithms._answers import Columns
    from clary.algorithms.base import Question

PAIR = "pair"
LONGEST = 5000
STEP_TOKENS = 1 << 14
"""Tokens encoded at once, about."""


def load(model_dir: Path, environ: Mapping[str, str]) -> PairPredictor:
    """Load the network.

    Raises
    ------
    CustomerError
        There is none, or its arrays are not what its shape says.
    """
    arrays = _artifact.load(_artifact.find(model_dir), ("shape", "last_weight", "last_bias"))
    try:
        shape = Shape.parse(str(arrays.pop("shape")))
        wanted = {name: values.shape for name, values in Network.begin(_small(shape), 0.0).arrays.items()}
    except (ValueError, TypeError, KeyError) as error:
        raise CustomerError(f"Unable to load model: its shape cannot be read: {error}") from error
    for name, size in wanted.items():
        found = arrays[name].shape if name in arrays else None
        is_table = name.endswith("_tokens")
        if found is None or found[is_table:] != size[is_table:]:
            raise CustomerError(f"Unable to load model: {name} has shape {found}, not {size}")
    return PairPredictor(shape, arrays, environ)


def _small(shape: Shape) -> Shape:
    """Return a shape with few tokens, to know the shapes of all arrays but tokens'."""
    return Shape(**{**vars(shape), "vocabularies": (2, 2)})


class PairPredictor(InstancePredictor):
    """A loaded network that answers requests."""

    def __init__(self, shape: Shape, arrays: dict[str, Any], environ: Mapping[str, str]) -> None:
        super().__init__(environ)
        self._network = Network(shape, {name: values.astype(np.float64) for name, values in arrays.items()})

    def read(self, question: Question) -> tuple[str, list[Any]]:
        """Return `pair`, `in0` or `in1`, and the sequences; Refusal where the body has none."""
        media = MediaType.parse(question.content_type)
        found = documents(question, media.name or "application/json")
        if found is None:
            raise Refusal(
                415,
                f"{question.content_type} is not an accepted ContentType: application/json, "
                "application/jsonlines.",
            )
        longest = self._longest(media.parameters.get("infer_max_seqlens"))
        kinds = {tuple(name for name in SIDES if isinstance(each, dict) and name in each) for each in found}
        if len(kinds) > 1 or kinds == {()}:
            raise refused("all instances must have in0 and in1, or all in0 alone, or all in1 alone")
        [names] = kinds
        instances = [
            tuple(self._sequence(place, each, name, longest) for name in names)
            for place, each in enumerate(found)
        ]
        return PAIR if len(names) > 1 else names[0], instances

    def _longest(self, given: str | None) -> tuple[int, int]:
        if given is None:
            return self._network.shape.longest
        parts = [part.strip() for part in given.split(",")]
        if len(parts) != 2 or not all(part.isdigit() and 1 <= int(part) <= LONGEST for part in parts):
            raise Refusal(415, f"infer_max_seqlens={given} must be two integers in range [1, {LONGEST}]")
        return int(parts[0]), int(parts[1])

    def _sequence(self, place: int, instance: Any, name: str, longest: tuple[int, int]) -> list[int]:
        side = SIDES.index(name)
        try:
            return sequence(instance[name], self._network.shape.vocabularies[side], longest[side])
        except TokenError as error:
            raise refused(f"{name} of instance {place} {error}") from error

    def score(self, kind: str, instances: Sequence[tuple[list[int], ...]]) -> Columns:
        """Return `scores` of pairs, or `embeddings` of one side."""
        sides = [kind] if kind in SIDES else list(SIDES)
        encoded = [
            self._encoded(SIDES.index(name), [each[at] for each in instances])
            for at, name in enumerate(sides)
        ]
        if len(encoded) == 1:
            return {"embeddings": encoded[0].astype(np.float32)}
        said, _ = self._network.say(self._network.compare(encoded[0], encoded[1]))
        return {"scores": self._network.scores(said).astype(np.float32)}

    def _encoded(self, side: int, sequences: list[list[int]]) -> NDArray[np.float64]:
        size = max(1, STEP_TOKENS // max(1, *map(len, sequences)))
        parts = [
            self._network.encode(side, Tokens.of(sequences[start : start + size]))[0]
            for start in range(0, len(sequences), size)
        ]
        return np.concatenate(parts)
