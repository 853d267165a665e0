"""Images into what a model of Transformers takes, by the image processor that came with it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from trunkline.errors import ArchitectureError, InputError
from trunkline.server.texts import elements
from trunkline.server.work import TensorInfo
from trunkline.store.building import UNEXPECTED, told

MAX_PIXELS: Final = 2**25
"""Of all images of a request. A file of a few kilobytes may open to gigabytes, so sizes are read
before any pixel is."""

MAX_SIDE: Final = 4096
"""No processor may make images larger than this."""

FORMATS: Final = ("PNG", "JPEG")


class Images:
    """The input `image`: PNG or JPEG files (BYTES), or pixels (UINT8, height x width x RGB).

    Args:
        processor: Transformers' own, computing with Pillow and NumPy.
        accepted: the names that the model's forward takes.
    """

    def __init__(self, processor: Any, accepted: frozenset[str]) -> None:
        self.info = TensorInfo("image", "BYTES", (-1,))
        self._processor = processor
        self._accepted = accepted

    def encode(self, array: NDArray[Any]) -> dict[str, torch.Tensor]:
        """The model's tensors, one row an image.

        Raises:
            InputError: neither PNG, JPEG nor pixels, or too many pixels.
        """
        images = _pixels(array) if array.dtype == np.uint8 else _files(array)
        try:
            found = self._processor(images, return_tensors="pt")
        except UNEXPECTED as error:
            raise InputError(
                f"input 'image': the images cannot be prepared: {told(error)}"
            ) from None
        return {name: found[name] for name in found if name in self._accepted}


def check_sizes(settings: Mapping[str, Any], where: str) -> None:
    """Refuse a processor that would make huge images (ArchitectureError)."""
    for name in ("size", "crop_size", "pad_size", "max_image_size"):
        value = settings.get(name)
        for one in value.values() if isinstance(value, dict) else [value]:
            if isinstance(one, (int, float)) and one > MAX_SIDE:
                raise ArchitectureError(f"{where}: {name} {one} is above {MAX_SIDE}")


def _pixels(array: NDArray[Any]) -> list[Any]:
    from PIL import Image

    rows = array[None] if array.ndim == 3 else array
    if rows.ndim != 4 or rows.shape[-1] != 3 or not rows.size:
        raise InputError(
            f"input 'image' is UINT8 of shape {list(array.shape)}; it must be [height, width, 3] "
            "or [n, height, width, 3]"
        )
    _check_pixels(rows.size // 3)
    return [Image.fromarray(np.ascontiguousarray(one)) for one in rows]


def _files(array: NDArray[Any]) -> list[Any]:
    from PIL import Image, ImageOps

    opened, pixels = [], 0
    for i, raw in enumerate(elements(array, "image")):
        try:
            image = Image.open(io.BytesIO(bytes(raw)), formats=FORMATS)
        except Image.DecompressionBombError:  # Pillow's own limit, above ours
            _check_pixels(MAX_PIXELS + 1)
            raise
        except UNEXPECTED:
            raise InputError(f"input 'image': element {i} is neither PNG nor JPEG") from None
        pixels += image.width * image.height
        _check_pixels(pixels)
        opened.append(image)
    images = []
    for i, image in enumerate(opened):
        try:
            images.append(ImageOps.exif_transpose(image).convert("RGB"))
        except UNEXPECTED as error:
            raise InputError(f"input 'image': element {i} is damaged: {told(error)}") from None
    return images


def _check_pixels(count: int) -> None:
    if count > MAX_PIXELS:
        raise InputError(f"input 'image': {count} pixels or more, limit {MAX_PIXELS}") from None
