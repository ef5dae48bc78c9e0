"""The channels of Object Detection: pictures and their objects.

Source: developer guide, "Input/Output Interface for the Object Detection Algorithm"; MXNet, `im2rec
--pack-label`.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._vision import images, pieces
from clary.algorithms._vision.album import Album, in_order
from clary.algorithms._vision.pieces import Piece
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from clary.algorithms.base import Source, Training

ENDINGS = (".jpg", ".jpeg", ".png")
_LEAST_HEADER, _LEAST_OBJECT, _DIFFICULT = 2, 5, 5
_TOLERANCE = 0.02
"""How far boxes may reach beyond a picture, of its sides: annotators do."""


class Pictures:
    """Pictures and objects of one channel."""

    def __init__(self, training: Training, channel: str, spool: Path) -> None:
        """Find them, and check the annotations.

        Raises
        ------
        CustomerError
            The channel is empty, or an annotation is none; the text names the record or file.
        """
        self._n_classes = training.params.int("num_classes")
        self._side = training.params.int("image_shape")
        source = training.source(channel)
        if pieces.is_packed(source):
            width = training.params.int("label_width")
            given = [
                (piece, _annotated(piece, label, width)) for piece, label in pieces.labelled(source, spool)
            ]
        else:
            given = list(_files(training, source))
        order = in_order([piece for piece, _ in given], [each.tolist() for _, each in given])
        self.objects = [self._checked(*given[place]) for place in order]
        """Of each picture, shape (n_objects, 6): class, left, top, right, bottom (0 to 1), difficult."""
        self.album = Album(
            channel, [given[place][0] for place in order], self.prepare, n_threads=training.n_threads or 1
        )

    def __len__(self) -> int:
        return len(self.album)

    def prepare(self, content: bytes) -> NDArray[np.uint8]:
        """Decode a picture, no larger than needs be; PictureError where it is none."""
        picture = images.decode(content, at_least=2 * self._side)
        if min(picture.size) > 2 * self._side:
            picture = images.shortened(picture, 2 * self._side)
        return images.array(picture)

    def _checked(self, piece: Piece, objects: NDArray[np.float32]) -> NDArray[np.float32]:
        classes, boxes = objects[:, 0], objects[:, 1:5]
        if ((classes < 0) | (classes >= self._n_classes) | (classes % 1 != 0)).any():
            wrong = classes[(classes < 0) | (classes >= self._n_classes) | (classes % 1 != 0)][0]
            raise CustomerError(
                f"{piece.name} has an object of class {wrong:g}: it must be an integer in range "
                f"[0, {self._n_classes - 1}], as num_classes is {self._n_classes}"
            )
        is_beyond = (boxes < -_TOLERANCE) | (boxes > 1 + _TOLERANCE)
        if is_beyond.any() or (boxes[:, 2:] <= boxes[:, :2]).any() or not np.isfinite(boxes).all():
            raise CustomerError(
                f"{piece.name} has a box that is none: left < right and top < bottom must lie within the "
                "image"
            )
        objects[:, 1:5] = boxes.clip(0, 1)
        return objects


def _annotated(piece: Piece, label: tuple[float, ...] | str, width: int) -> NDArray[np.float32]:
    if isinstance(label, str):
        return from_document(piece.name, label)
    if len(label) > width:
        raise CustomerError(
            f"{piece.name} has a label of {len(label)} numbers: label_width is {width}; choose a larger one"
        )
    head, each = (int(label[0]), int(label[1])) if len(label) >= _LEAST_HEADER else (0, 0)
    body = np.array(label[head:], np.float32)
    if head < _LEAST_HEADER or each < _LEAST_OBJECT or len(body) % each:
        raise CustomerError(
            f"{piece.name} has the label {', '.join(f'{number:g}' for number in label[:12])}: it must "
            "begin with the "
            "width of its header, 2 at least, and that of an object, 5 at least, and go on with objects: "
            "class, "
            "left, top, right, bottom"
        )
    rows = body.reshape(-1, each)
    rows = rows[rows[:, 0] >= 0]  # padding has class -1
    difficult = (
        rows[:, _DIFFICULT : _DIFFICULT + 1] if each > _DIFFICULT else np.zeros((len(rows), 1), np.float32)
    )
    return np.hstack((rows[:, :5], difficult)).astype(np.float32)


def from_document(name: str, text: str) -> NDArray[np.float32]:
    """Return the objects of an annotation, JSON.

    Raises
    ------
    CustomerError
        It is none; the text says what it lacks.
    """
    try:
        document = json.loads(text)
        size = document["image_size"][0]
        rows = [
            (
                each["class_id"],
                each["left"] / size["width"],
                each["top"] / size["height"],
                (each["left"] + each["width"]) / size["width"],
                (each["top"] + each["height"]) / size["height"],
                0,
            )
            for each in document["annotations"]
        ]
        return np.array(rows, np.float32).reshape(-1, 6)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ZeroDivisionError) as error:
        raise CustomerError(
            f"{name}: its annotation must be JSON with image_size [{{width, height}}] and annotations, "
            "each with "
            f"class_id, left, top, width and height: {type(error).__name__} {error}"
        ) from error


def _files(training: Training, source: Source) -> Iterator[tuple[Piece, NDArray[np.float32]]]:
    name = f"{source.name}_annotation"
    found = pieces.files(source, ENDINGS)
    for path, file in pieces.files(training.source(name), (".json",)).items():
        text = file.read_text("utf-8", "replace")
        objects = from_document(f"{name}/{path}", text)
        picture = _picture(json.loads(text).get("file"), path, found)
        if picture is None:
            raise CustomerError(f"Channel '{source.name}' has no image of {name}/{path}")
        yield Piece(found[picture], f"{source.name}/{picture}"), objects


def _picture(named: Any, path: str, found: dict[str, Any]) -> str | None:
    """Return the picture that an annotation names, or the one of its own name."""
    stem = PurePosixPath(path).with_suffix("").as_posix()
    wanted: Sequence[str] = [str(named), *(f"{stem}{ending}" for ending in ENDINGS)]
    return next((each for each in wanted if each in found), None)
