"""Arrays → pictures inside the page, as data URIs: nothing is fetched."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 256  # pixels of a side: a phone shows no more, and the file stays small
SMALL = 160  # of the many small pictures
_EXACT = 96  # up to this side a picture is kept without loss
_QUALITY = 88

Array = NDArray[Any]


def picture_uri(picture: Array, largest: int = LARGEST) -> str:
    """A picture (H, W, 3) in 0 … 1 as a data URI; a large one is made smaller.

    WebP: without loss up to 96 pixels a side, else with a loss that nobody sees.
    """
    from PIL import Image

    image = Image.fromarray(_bytes(picture))
    if max(image.size) > largest:
        image.thumbnail((largest, largest), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    exact = max(image.size) <= _EXACT
    image.save(out, format="WEBP", lossless=exact, quality=_QUALITY, method=4)
    return f"data:image/webp;base64,{b64encode(out.getvalue()).decode()}"


def map_uri(shares: Array, highest: float) -> str:
    """A map (h, w) ≥ 0 in the colours of viridis, ``highest`` the brightest: a pixel a cell."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(_bytes(_coloured(shares, highest))).save(out, format="PNG", optimize=True)
    return f"data:image/png;base64,{b64encode(out.getvalue()).decode()}"


def overlay_uri(picture: Array, shares: Array, highest: float) -> str:
    """A map laid over a grey picture: the larger a cell's share, the less of the picture shows.

    picture: (H, W, 3) in 0 … 1; shares: (h, w) ≥ 0, with ``highest`` the brightest colour
    """
    side = max(picture.shape[:2])
    grown = np.kron(picture, np.ones((max(1, round(192 / side)),) * 2 + (1,)))
    height, width = grown.shape[:2]
    rows = np.arange(height) * shares.shape[0] // height
    columns = np.arange(width) * shares.shape[1] // width
    cells = shares[np.ix_(rows, columns)]
    strength = 0.25 + 0.6 * (cells / highest if highest > 0 else np.zeros_like(cells))
    grey = np.repeat(grown.mean(axis=2, keepdims=True), 3, axis=2)
    mixed = grey * (1 - strength[..., None]) + _coloured(cells, highest) * strength[..., None]
    return picture_uri(mixed)


def _coloured(shares: Array, highest: float) -> Array:
    """(h, w) → (h, w, 3) in 0 … 1."""
    from matplotlib import colormaps

    scaled = shares / highest if highest > 0 else np.zeros_like(shares)
    return np.asarray(colormaps["viridis"](scaled))[..., :3]


def _bytes(picture: Array) -> Array:
    found: Array = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return found
