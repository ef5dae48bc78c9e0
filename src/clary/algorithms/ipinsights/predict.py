"""Prediction: how well an entity and an address go together, and their vectors.

Source: developer guide, "IP Insights Inference Data Formats".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from clary.algorithms import _artifact
from clary.algorithms._answers import JSON, JSONLINES, REQUESTS, accepted, form
from clary.algorithms._instances import InstancePredictor, documents, refused
from clary.algorithms.base import Refusal
from clary.algorithms.ipinsights import events
from clary.algorithms.ipinsights._network import Network
from clary.kernel.errors import CustomerError
from clary.toolkit.flat import Flat
from clary.toolkit.formats import csv
from clary.toolkit.formats.base import MediaType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from clary.algorithms._answers import Columns
    from clary.algorithms.base import Question

_NAMES = ("bit_weight", "prefixes", "prefix_vectors", "entity_vectors")
STEP = 4096
"""Events scored at once."""


def load(model_dir: Path, environ: Mapping[str, str]) -> EventPredictor:
    """Load the vectors.

    Raises
    ------
    CustomerError
        There are none, or they do not fit each other.
    """
    arrays = _artifact.load(_artifact.find(model_dir), _NAMES)
    width = arrays["entity_vectors"].shape[-1]
    if any(arrays[name].shape[-1] != width for name in arrays if name != "prefixes"):
        raise CustomerError("Unable to load model: its arrays differ in vector_dim")
    return EventPredictor(arrays, environ)


class EventPredictor(InstancePredictor):
    """Loaded vectors that answer requests."""

    verbose: ClassVar[tuple[str, ...]] = ("entity_embedding", "ip_embedding")

    def __init__(self, arrays: dict[str, Any], environ: Mapping[str, str]) -> None:
        super().__init__(environ)
        self._entities = arrays["entity_vectors"]
        self._network = Network(
            {
                name: values.astype(np.float64) if values.dtype == np.float32 else values
                for name, values in arrays.items()
                if name != "entity_vectors"
            }
        )

    def read(self, question: Question) -> tuple[str, list[tuple[int, int]]]:
        """Return rows of entities, and addresses; Refusal where the body has none."""
        name = MediaType.parse(question.content_type).name
        found = documents(question, name)
        if found is not None:
            pairs = [_pair(place, each) for place, each in enumerate(found)]
        elif name in {"", *csv.CONTENT_TYPES}:
            pairs = self._lines(question.body)
        else:
            raise Refusal(
                415,
                f"{question.content_type} is not an accepted ContentType: text/csv, application/json, "
                "application/jsonlines.",
            )
        n_vectors = len(self._entities)
        try:
            return "", [
                (events.row_of(entity, n_vectors), events.number_of(address)) for entity, address in pairs
            ]
        except events.EventError as error:
            raise refused(str(error)) from error

    def flat(self) -> Flat:
        """Return vectors and layers, for bodies of CSV and answers without vectors."""
        network, n_layers = self._network.arrays, self._network.n_layers
        width = self._entities.shape[1]
        layers = [[network[f"{name}_{layer}"] for layer in range(n_layers)] for name in ("weight", "bias")]
        spelled = {accept: accepted(accept, self._default)[0] for accept in ("", "*/*", JSON, JSONLINES)}
        shown = {"dot_product": np.zeros(1, np.float32)}
        return Flat(
            kind="pairs",
            n_features=2,
            arrays={
                "entities": self._entities,
                "bits": network["bit_weight"],
                "prefixes": network["prefixes"].astype(np.int64),
                "vectors": network["prefix_vectors"],
                "weights": np.array(layers[0], np.float64).reshape(n_layers, width, width),
                "biases": np.array(layers[1], np.float64).reshape(n_layers, width),
            },
            requests=REQUESTS,
            forms={accept: form(shown, content_type) for accept, content_type in spelled.items()},
        )

    def _lines(self, body: bytes) -> list[tuple[bytes, bytes]]:
        pairs = []
        for number, line in enumerate(body.split(b"\n"), 1):
            if line.strip():
                try:
                    pairs.append(events.fields(line))
                except events.EventError as error:
                    raise refused(f"line {number} {error}") from error
        if not pairs:
            raise refused("there are no rows")
        return pairs

    def score(self, kind: str, instances: Sequence[tuple[int, int]]) -> Columns:
        """Return `dot_product`, `entity_embedding` and `ip_embedding`."""
        rows = np.array([row for row, _ in instances], np.int64)
        addresses = np.array([address for _, address in instances], np.uint32)
        entities = self._entities[rows].astype(np.float64)
        vectors = np.concatenate(
            [self._network.encode(addresses[start : start + STEP])[0] for start in range(0, len(rows), STEP)]
        )
        return {
            "dot_product": np.einsum("ij,ij->i", entities, vectors).astype(np.float32),
            "entity_embedding": entities.astype(np.float32),
            "ip_embedding": vectors.astype(np.float32),
        }


def _pair(place: int, instance: Any) -> tuple[bytes, bytes]:
    """Return the entity and the address of one document."""
    features = instance
    if isinstance(features, dict):
        features = features.get("data", features)
        features = features.get("features", features) if isinstance(features, dict) else features
        features = features.get("values", features) if isinstance(features, dict) else features
    if not isinstance(features, list) or len(features) != 2 or not isinstance(features[1], str):
        raise refused(f'row {place} must be {{"features": ["entity", "192.168.1.2"]}}')
    return str(features[0]).strip().encode(), features[1].strip().encode()
