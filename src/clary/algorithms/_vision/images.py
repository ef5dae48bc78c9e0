"""Pictures: JPEG or PNG files to arrays of bytes, and the sizes that networks want.

Pillow does it. It lets other threads run while it decodes.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODES = {1: "L", 3: "RGB"}
"""How Pillow names pictures of so many channels."""
_MOST_PIXELS = 1 << 28


class PictureError(ValueError):
    """The bytes are no picture."""


def pillow() -> Any:
    """Return Pillow's module of images.

    Raises
    ------
    CustomerError
        It is not installed.
    """
    try:
        from PIL import Image  # noqa: PLC0415 - an extra has it
    except ImportError as error:
        raise CustomerError(
            "This algorithm needs Pillow, which is not installed: pip install 'clary[torch]'"
        ) from error
    Image.MAX_IMAGE_PIXELS = _MOST_PIXELS
    return Image


def opened(content: bytes) -> Any:
    """Return a picture whose size is known and whose pixels are not yet decoded.

    Raises
    ------
    PictureError
        No JPEG or PNG.
    """
    try:
        return pillow().open(io.BytesIO(content), formats=("JPEG", "PNG"))
    except (OSError, ValueError, SyntaxError) as error:
        raise PictureError("not a JPEG or PNG image") from error
    except Exception as error:  # Pillow's own, of pictures that are too large
        raise PictureError(f"not a JPEG or PNG image: {error}") from error


def decode(content: bytes, n_channels: int = 3, *, at_least: int = 0) -> Any:
    """Return a picture, decoded and turned as its camera was held.

    Parameters
    ----------
    at_least : int
        A JPEG may be decoded smaller, as long as its short side keeps so many pixels; 0 forbids it.

    Raises
    ------
    PictureError
        No JPEG or PNG, or cut off.
    """
    from PIL import ImageOps  # noqa: PLC0415 - as above

    picture = opened(content)
    try:
        if at_least:
            picture.draft(None, (at_least, at_least))
        picture = ImageOps.exif_transpose(picture)
        return picture if picture.mode == MODES[n_channels] else picture.convert(MODES[n_channels])
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise PictureError(f"a damaged image: {error}") from error


def array(picture: Any) -> NDArray[np.uint8]:
    """Return the pixels.

    Returns
    -------
    pixels : ndarray, shape (height, width, n_channels)
        uint8, C order.
    """
    pixels = np.asarray(picture, np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def shortened(picture: Any, side: int) -> Any:
    """Return a picture whose short side has `side` pixels, its proportions kept."""
    width, height = picture.size
    factor = side / min(width, height)
    wanted = max(side, round(width * factor)), max(side, round(height * factor))
    return picture if wanted == picture.size else picture.resize(wanted, pillow().Resampling.BILINEAR)


def covering(picture: Any, height: int, width: int) -> Any:
    """Return a picture that is at least so large; one that is stays as it is."""
    factor = max(width / picture.size[0], height / picture.size[1])
    if factor <= 1:
        return picture
    wanted = max(width, round(picture.size[0] * factor)), max(height, round(picture.size[1] * factor))
    return picture.resize(wanted, pillow().Resampling.BILINEAR)


def cut(pixels: NDArray[np.uint8], height: int, width: int, place: tuple[float, float]) -> NDArray[np.uint8]:
    """Return a part of a picture; `place` says where, 0 to 1 from the top and from the left."""
    top = round((pixels.shape[0] - height) * place[0])
    left = round((pixels.shape[1] - width) * place[1])
    return pixels[top : top + height, left : left + width]


MIDDLE = (0.5, 0.5)
