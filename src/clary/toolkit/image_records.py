"""Images in RecordIO frames, as MXNet's `im2rec` packs them.

    u32 flag │ f32 label │ u64 id │ u64 0 │ flag x f32 labels │ JPEG or PNG

With a flag of 0 the label is that of the header. Source: MXNet, `python/mxnet/recordio.py`, IRHeader.
"""

from dataclasses import dataclass
from struct import Struct, pack, unpack_from

from clary.toolkit.recordio import RecordIOError

_HEAD = Struct("<IfQQ")
HEAD_BYTES = _HEAD.size
_LABEL_BYTES = 4
MOST_LABELS = 1 << 14
"""Of one image: what has more is no image record."""
_IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
"""How a JPEG and a PNG begin."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One packed image."""

    labels: tuple[float, ...]
    image: bytes
    """The file, as it was."""
    id: int = 0


def is_image(content: bytes) -> bool:
    """Say whether bytes begin as a JPEG or PNG file does."""
    return content.startswith(_IMAGES)


def wrap(record: ImageRecord) -> bytes:
    """Return the payload of a RecordIO frame."""
    if len(record.labels) == 1:
        return _HEAD.pack(0, record.labels[0], record.id, 0) + record.image
    labels = pack(f"<{len(record.labels)}f", *record.labels)
    return _HEAD.pack(len(record.labels), 0.0, record.id, 0) + labels + record.image


def unwrap(payload: bytes) -> ImageRecord:
    """Return the image and labels of a frame's payload.

    Raises
    ------
    RecordIOError
        It is too short for what its header says.
    """
    labels, start = labels_of(payload)
    return ImageRecord(labels, payload[start:], _HEAD.unpack_from(payload)[2])


def labels_of(payload: bytes) -> tuple[tuple[float, ...], int]:
    """Return the labels, and where the image begins; the payload may be cut there.

    Raises
    ------
    RecordIOError
        It is too short for what its header says.
    """
    if len(payload) < HEAD_BYTES:
        raise RecordIOError(
            f"an image record has a header of {HEAD_BYTES} bytes, and this one {len(payload)}"
        )
    flag, label, _, _ = _HEAD.unpack_from(payload)
    if not flag:
        return (label,), HEAD_BYTES
    end = HEAD_BYTES + _LABEL_BYTES * flag
    if flag > MOST_LABELS or len(payload) < end:
        raise RecordIOError(f"an image record of {len(payload)} bytes cannot hold {flag} labels")
    return unpack_from(f"<{flag}f", payload, HEAD_BYTES), end
