"""The channels of Image Classification: pictures and their labels, as RecordIO or as files with a list.

Source: developer guide, "Input/Output Interface for the Image Classification Algorithm".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._vision import images, pieces
from clary.algorithms._vision.album import Album, in_order
from clary.algorithms._vision.pieces import Piece
from clary.kernel.errors import CustomerError
from clary.toolkit.formats.base import MediaType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from clary.algorithms.base import Source, Training

ENDINGS = (".jpg", ".jpeg", ".png")
MULTI_HOT, CLASS_ID = "multi-hot", "class-id"
_LST = 3
"""Least columns of a list: number, label, path."""


class Pictures:
    """Pictures and targets of one channel."""

    def __init__(self, training: Training, channel: str, spool: Path) -> None:
        """Find them, and check the labels.

        Raises
        ------
        CustomerError
            The channel is empty, or a label is none; the text names the record or line.
        """
        self._params = training.params
        source = training.source(channel)
        given = list(self._given(training, source, spool))
        order = in_order([piece for piece, _ in given], [labels for _, labels in given])
        self.targets = self._targets(source, [given[place] for place in order])
        self.album = Album(
            channel, [given[place][0] for place in order], self.prepare, n_threads=training.n_threads or 1
        )
        self.short_sides: list[int] = []

    def __len__(self) -> int:
        return len(self.album)

    def prepare(self, content: bytes) -> NDArray[np.uint8]:
        """Decode a picture and make it large enough for parts to be taken; PictureError where it is none."""
        n_channels, height, width = self._params["image_shape"]
        resize = self._params.get("resize")
        picture = images.decode(content, n_channels, at_least=resize or 0)
        self.short_sides.append(min(picture.size))
        if resize:
            picture = images.shortened(picture, resize)
        return images.array(images.covering(picture, height, width))

    def _given(
        self, training: Training, source: Source, spool: Path
    ) -> Iterator[tuple[Piece, tuple[float, ...] | str]]:
        if pieces.is_packed(source):
            yield from pieces.labelled(source, spool)
            return
        if not self._params.get("resize"):
            raise CustomerError(
                f"Missing required hyperparameter: resize. Channel '{source.name}' has images as files, "
                "of any size"
            )
        found = pieces.files(source, ENDINGS)
        for where, labels, path in _listed(training.source(f"{source.name}_lst")):
            if path not in found:
                raise CustomerError(f"Channel '{source.name}' has no image {path}, which {where} names")
            yield Piece(found[path], f"{source.name}/{path}"), labels

    def _targets(self, source: Source, given: Sequence[tuple[Piece, Any]]) -> NDArray[Any]:
        n_classes = self._params.int("num_classes")
        form = MediaType.parse(source.content_type).parameters.get("label-format", MULTI_HOT)
        if form not in {MULTI_HOT, CLASS_ID}:
            raise CustomerError(
                f"Channel '{source.name}': label-format of {source.content_type} must be {MULTI_HOT} or "
                f"{CLASS_ID}"
            )
        if not self._params["multi_label"]:
            return np.array(
                [_one(_numbers(piece, label), piece, n_classes) for piece, label in given], np.int64
            )
        targets = np.zeros((len(given), n_classes), np.float32)
        for row, (piece, label) in zip(targets, given, strict=True):
            numbers = _numbers(piece, label)
            if form == CLASS_ID:
                row[[_one((each,), piece, n_classes) for each in numbers]] = 1
            elif len(numbers) != n_classes or not set(numbers) <= {0.0, 1.0}:
                raise CustomerError(
                    f"{piece.name} has the labels {_shown(numbers)}: with multi_label they must be "
                    f"{n_classes} "
                    "zeros and ones, or numbers of classes where the ContentType says "
                    f"label-format={CLASS_ID}"
                )
            else:
                row[:] = numbers
        return targets


def _one(numbers: tuple[float, ...], piece: Piece, n_classes: int) -> int:
    if len(numbers) != 1 or not numbers[0].is_integer() or not 0 <= numbers[0] < n_classes:
        raise CustomerError(
            f"{piece.name} has the label {_shown(numbers)}: it must be an integer in range [0, "
            f"{n_classes - 1}], "
            f"as num_classes is {n_classes}"
        )
    return int(numbers[0])


def _numbers(piece: Piece, label: tuple[float, ...] | str) -> tuple[float, ...]:
    if isinstance(label, tuple):
        return label
    try:
        found = json.loads(label)
        return tuple(float(each) for each in (found if isinstance(found, list) else [found]))
    except (ValueError, TypeError) as error:
        raise CustomerError(
            f"{piece.name} has the label {label[:100]!r}, which is no number and no list"
        ) from error


def _shown(numbers: Sequence[float]) -> str:
    return ", ".join(f"{each:g}" for each in numbers[:10]) or "none"


def _listed(source: Source) -> Iterator[tuple[str, tuple[float, ...], str]]:
    """Yield where an image is named, its labels and its path.

    Raises
    ------
    CustomerError
        There is not one list, or a line of it has no label or path.
    """
    lists = list(pieces.files(source, (".lst",)).items())
    if len(lists) > 1:
        raise CustomerError(
            f"Channel '{source.name}' must have one .lst file, and has {', '.join(name for name, _ in lists)}"
        )
    [(name, path)] = lists
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        where = f"{source.name}/{name}, line {number}"
        columns = line.strip().split("\t")
        if len(columns) < _LST:
            columns = line.split(maxsplit=_LST - 1)
        try:
            labels = tuple(float(each) for each in columns[1:-1])
        except ValueError:
            labels = ()
        if not labels:
            raise CustomerError(
                f"{where} must be a number, a label and a path, with tabs between: {line[:100]!r}"
            )
        yield where, labels, columns[-1].strip()
