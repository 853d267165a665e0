"""Images as a model's tensors: files, pixels, limits, and what is refused."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import pytest
import torch

from tests.server.pipelines import library, picture, save_images, texts
from trunkline.errors import ArchitectureError, InputError
from trunkline.server.images import MAX_PIXELS, Images, check_sizes

transformers = library()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """Images of a tiny classifier."""
    folder = save_images(tmp_path_factory.mktemp("images"))
    own = transformers.AutoImageProcessor.from_pretrained(folder, use_fast=False)
    return Images(own, frozenset({"pixel_values"}))


def bomb(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_files_of_both_formats_and_any_size(images: Images) -> None:
    """PNG and JPEG, one row each, in shape (images, 3, 8, 8)."""
    found = images.encode(texts(picture(), picture(9, 31, "JPEG")))
    assert found["pixel_values"].shape == (2, 3, 8, 8)
    assert found.keys() == {"pixel_values"}


def test_an_image_is_turned_as_its_camera_says(images: Images) -> None:
    """A file whose metadata says that it lies on its side gives the upright image's tensor."""
    from PIL import Image

    turned = Image.Exif()
    turned[0x0112] = 3  # upside down
    pixels = np.random.default_rng(0).integers(0, 256, (10, 20, 3), dtype=np.uint8)
    found = images.encode(texts(picture(exif=turned)))["pixel_values"]
    assert torch.equal(found, images.encode(pixels[::-1, ::-1])["pixel_values"])


def test_pixels_are_limited_before_any_is_read(images: Images) -> None:
    """What an image's header says counts, over all images of a request."""
    side = int(MAX_PIXELS**0.5)
    for given in (
        texts(bomb(100_000, 100_000)),
        texts(bomb(side, side), bomb(side, side)),
        np.broadcast_to(np.uint8(0), (side + 1, side + 1, 3)),
    ):
        with pytest.raises(InputError, match="pixels or more, limit"):
            images.encode(given)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (texts(b"not an image"), "element 0 is neither PNG nor JPEG"),
        (texts(picture(), picture(kind="GIF")), "element 1 is neither PNG nor JPEG"),
        (texts(picture()[:-300]), "element 0 is damaged"),
        (texts(bomb(4, 4)), "element 0 is damaged"),
        (texts(), "is empty"),
        (np.zeros((4, 4), np.uint8), r"\[4, 4\]"),
        (np.zeros((4, 4, 4), np.uint8), r"\[4, 4, 4\]"),
        (np.zeros((0, 4, 4, 3), np.uint8), "UINT8 of shape"),
        (np.zeros((4, 4, 3), np.float32), "must be BYTES"),
    ],
)
def test_what_is_refused(images: Images, array: Any, says: str) -> None:
    """Other formats, damaged files, other shapes and types: each says what is wrong."""
    with pytest.raises(InputError, match=says):
        images.encode(array)


@pytest.mark.parametrize(
    "settings", [{"size": 10**6}, {"crop_size": {"width": 5000.0}}, {"size": {"longest_edge": 1e9}}]
)
def test_processors_that_would_make_huge_images(settings: dict[str, Any]) -> None:
    """A size in a stored file does not decide how much memory is taken."""
    check_sizes({"size": {"height": 224, "width": 224}, "do_resize": True}, "x")
    with pytest.raises(ArchitectureError, match="is above 4096"):
        check_sizes(settings, "x")
