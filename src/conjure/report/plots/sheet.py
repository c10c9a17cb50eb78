"""A figure that is laid out in inches: pictures, texts and boxes at places that are computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.text import printable
from ...datasets.files import replacing
from .pictures import drawable
from .style import house_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

COLUMN = 3.3  # inches: a column of a LaTeX paper of two
DPI = 300
GREY = "#595959"
# Without dates and versions, the same explanation is the same file.
_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}

_DESCRIPTION = {".png": "Description", ".svg": "Description", ".pdf": "Subject"}


class Sheet:
    """A page of ``width`` × ``height`` inches; (0, 0) is the upper left corner.

    Make and save it within ``house_style``.
    """

    def __init__(self, width: float, height: float, dpi: int = DPI) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height, self.dpi = width, height, dpi
        self.figure: Figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
        canvas: Any = FigureCanvasAgg(self.figure)
        self._renderer = canvas.get_renderer()
        self.page = self.figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self.page.set_axis_off()
        self.page.set_xlim(0, width)
        self.page.set_ylim(height, 0)

    def picture(
        self, place: tuple[float, float, float, float], array: NDArray[Any], **look: Any
    ) -> AxesImage:
        """An image (H, W, 3) or a map (h, w) at (left, top, width, height)."""
        left, top, width, height = place
        extent = (left, left + width, top + height, top)
        image = self.page.imshow(array, extent=extent, aspect="auto", **look)
        self.page.set_xlim(0, self.width)  # imshow moves them
        self.page.set_ylim(self.height, 0)
        return image

    def text(self, left: float, top: float, text: str, size: float, **look: Any) -> None:
        """A text; ``top`` is the upper edge unless ``va`` says otherwise."""
        self.page.text(left, top, text, size=size, **{"va": "top", **look})

    def box(self, place: tuple[float, float, float, float], **look: Any) -> None:
        """A rectangle at (left, top, width, height)."""
        from matplotlib.patches import Rectangle

        left, top, width, height = place
        self.page.add_patch(Rectangle((left, top), width, height, **look))

    def line(self, x: tuple[float, float], y: tuple[float, float], **look: Any) -> None:
        """A line from (x[0], y[0]) to (x[1], y[1])."""
        self.page.plot(x, y, **look)

    def axes(self, place: tuple[float, float, float, float]) -> Axes:
        """Axes of their own at (left, top, width, height), without their labels."""
        left, top, width, height = place
        bottom = self.height - top - height
        return self.figure.add_axes(
            (left / self.width, bottom / self.height, width / self.width, height / self.height)
        )

    def measure(self, text: str, size: float, bold: bool = False) -> float:
        """The width of a text in inches."""
        from matplotlib.font_manager import FontProperties

        font = FontProperties(size=size, weight="bold" if bold else "normal")
        pixels, *_ = self._renderer.get_text_width_height_descent(text, font, False)
        return float(pixels) / self.dpi

    def fitted(self, text: str, width: float, size: float, bold: bool = False) -> str:
        """The text in one line of at most ``width`` inches; a long one loses its middle."""
        safe = printable(drawable(" ".join(text.split())))
        return middle_out(safe, lambda some: self.measure(some, size, bold) <= width)

    def pixels(self) -> NDArray[np.uint8]:
        """The page as an image (H, W, 3)."""
        canvas: Any = self.figure.canvas
        canvas.draw()
        return np.array(canvas.buffer_rgba())[..., :3].copy()


def middle_out(text: str, fits: Callable[[str], bool]) -> str:
    """The text; if it does not fit, with "…" in place of as little of its middle as needed.

    >>> middle_out("snow leopard", lambda some: len(some) <= 8)
    'snow…ard'
    """
    if fits(text):
        return text
    for kept in range(len(text) - 1, 0, -1):
        head, tail = kept - kept // 2, kept // 2
        shorter = f"{text[:head].rstrip()}…{text[len(text) - tail :].lstrip() if tail else ''}"
        if fits(shorter):
            return shorter
    return "…"


def write_figure(figure: Figure, path: Path, says: str = "") -> None:
    """Write a figure as PNG, SVG or PDF by the end of the name, complete or not at all.

    says: what it shows, in words; the file carries it as its description
    """
    suffix = path.suffix.lower()
    metadata = _METADATA[suffix] | ({_DESCRIPTION[suffix]: printable(says)} if says else {})
    with house_style(), replacing(path) as draft:
        figure.savefig(draft, format=suffix[1:], dpi=DPI, metadata=metadata)


def overlaid(picture: NDArray[Any], heat: NDArray[Any], most: float) -> NDArray[Any]:
    """A map over a picture: (H, W, 3) in 0 … 1, the picture in grey, the map in colour.

    heat: (h, w); most: what has the brightest colour. Each position covers its part of the picture.
    """
    from matplotlib import colormaps

    height, width = picture.shape[:2]
    rows = np.arange(height) * heat.shape[0] // height
    columns = np.arange(width) * heat.shape[1] // width
    colour = colormaps[HEAT](np.clip(heat[rows][:, columns] / most, 0, 1) if most > 0 else
                             np.zeros((height, width)))[..., :3]  # fmt: skip
    grey = (picture @ np.array([0.2126, 0.7152, 0.0722]))[..., None]
    found: NDArray[Any] = 0.72 * colour + 0.28 * grey
    return found


HEAT = "magma"  # perceptually uniform
