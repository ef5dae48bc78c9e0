"""The channels of Semantic Segmentation: pictures and masks, and what the masks' values mean.

Source: developer guide, "Input/Output Interface for the Semantic Segmentation Algorithm".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._vision import images, pieces
from clary.algorithms._vision.album import Album, in_order
from clary.algorithms._vision.images import PictureError
from clary.algorithms._vision.overlap import IGNORED
from clary.algorithms._vision.pieces import Piece
from clary.kernel.errors import CustomerError
from clary.toolkit import image_records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from clary.algorithms.base import Source, Training

ENDINGS = (".jpg", ".jpeg", ".png")
MASK_MODES = ("P", "L", "1", "I", "I;16")
N_VALUES = 256


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture and its mask."""

    picture: Piece
    mask: Piece

    @property
    def name(self) -> str:
        """As messages say it."""
        return self.picture.name

    def read(self) -> tuple[bytes, bytes]:
        """Return both files."""
        return self.picture.read(), self.mask.read()

    def mark(self) -> tuple[int, int]:
        """Return the picture's."""
        return self.picture.mark()


class Pictures:
    """Pictures and masks of one channel; each is an array of four channels, of which the last is the mask."""

    def __init__(self, training: Training, channel: str, spool: Path) -> None:
        """Find them.

        Raises
        ------
        CustomerError
            The channel is empty, or a picture has no mask; the text names it.
        """
        self._n_classes = training.params.int("num_classes")
        self._labels = labels_of(training, channel)
        source = training.source(channel)
        pairs = list(_packed(source, spool) if pieces.is_packed(source) else _files(training, source))
        ordered = [pairs[place] for place in in_order(pairs, [""] * len(pairs))]
        self.album = Album(channel, ordered, self.prepare, n_threads=training.n_threads or 1)

    def __len__(self) -> int:
        return len(self.album)

    def prepare(self, files: tuple[bytes, bytes]) -> NDArray[np.uint8]:
        """Return a picture's colours and its pixels' classes; PictureError where they do not fit."""
        picture, mask = images.decode(files[0]), images.opened(files[1])
        if mask.mode not in MASK_MODES:
            raise PictureError(
                f"its annotation is a PNG of mode {mask.mode}: it must have one channel of 8 bits (P or L)"
            )
        values = np.array(mask).astype(np.int64)
        if values.shape != picture.size[::-1]:
            raise PictureError(
                f"its annotation has {mask.size[0]} x {mask.size[1]} pixels, and the image "
                f"{picture.size[0]} x {picture.size[1]}"
            )
        classes = self._labels[np.clip(values, 0, N_VALUES - 1)]
        wrong = (classes >= self._n_classes) & (classes != IGNORED)
        if wrong.any():
            raise PictureError(
                f"its annotation has the label {int(classes[wrong][0])}: it must be in range "
                f"[0, {self._n_classes - 1}], as num_classes is {self._n_classes}, or 255, which is "
                "passed over"
            )
        return np.dstack((images.array(picture), classes))


def labels_of(training: Training, channel: str) -> NDArray[np.uint8]:
    """Return the class of each value that a mask can have, by the channel's label map.

    Raises
    ------
    CustomerError
        The map is no JSON with `scale` or `map`.
    """
    values = np.arange(N_VALUES)
    document = _label_map(training, channel)
    try:
        if "map" in document:
            found = np.full(N_VALUES, IGNORED)
            for label, value in document["map"].items():
                found[int(value)] = int(label)
        else:
            scale = int(document.get("scale", 1))
            found = values // scale if scale > 0 else values[:0]
            found[IGNORED] = IGNORED
    except (ValueError, TypeError, AttributeError, IndexError, ZeroDivisionError) as error:
        raise CustomerError(
            f'Channel label_map: {channel}_label_map.json must be {{"scale": "3"}} or '
            f'{{"map": {{"0": 5}}}}, of a label to its value: {error}'
        ) from error
    return found.astype(np.uint8)


def _label_map(training: Training, channel: str) -> dict[str, Any]:
    names = {"label_map": f"{channel}_label_map.json", f"{channel}_annotation": "label_map.json"}
    for folder, name in names.items():
        source = training.sources.get(folder)
        path = source.path / name if source is not None else None
        if path is None or not path.is_file():
            continue
        try:
            document = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise CustomerError(f"Channel {folder}: {name} is not JSON: {error}") from error
        if isinstance(document, dict):
            return document
        raise CustomerError(f"Channel {folder}: {name} must be a JSON object")
    return {}


def _packed(source: Source, spool: Path) -> Iterator[Pair]:
    found = pieces.records(source, spool)
    if len(found) % 2 or not all(image_records.is_image(each.front(8)) for each in found[:2]):
        raise CustomerError(
            f"Unable to read data channel '{source.name}': images and their annotations, PNG files, must "
            "come in "
            f"turns, and there are {len(found)} records; AttributeNames must name the two, both with -ref"
        )
    yield from map(Pair, found[::2], found[1::2])


def _files(training: Training, source: Source) -> Iterator[Pair]:
    annotation = f"{source.name}_annotation"
    masks = {
        PurePosixPath(name).with_suffix("").as_posix(): (name, path)
        for name, path in pieces.files(training.source(annotation), (".png",)).items()
    }
    for name, path in pieces.files(source, ENDINGS).items():
        stem = PurePosixPath(name).with_suffix("").as_posix()
        if stem not in masks:
            raise CustomerError(
                f"Channel '{annotation}' has no {stem}.png, the annotation of {source.name}/{name}"
            )
        mask, where = masks[stem]
        yield Pair(Piece(path, f"{source.name}/{name}"), Piece(where, f"{annotation}/{mask}"))
