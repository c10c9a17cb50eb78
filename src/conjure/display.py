"""How results show themselves in a notebook, and how they become tables of pandas.

A result's own ``_repr_html_`` and ``_repr_png_`` are a few lines that call these. The HTML is one
small card. It fetches nothing, runs nothing and sets no colour of its own, so that it reads in a
light notebook and in a dark one. matplotlib and pandas are imported when they are used.
"""

from __future__ import annotations

import importlib.util
import io
import math
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from .core.errors import InputError
from .core.text import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIRST, SECOND = "#0072B2", "#D55E00"  # Okabe and Ito: the first text's trajectories, the second's
_SIZE = (5.0, 2.6)  # inches
_DPI = 150
_CARD = (
    "max-width:40em;padding:.6em .9em;border:1px solid rgba(128,128,128,.45);border-radius:6px;"
    "overflow-wrap:anywhere"
)


def safe(text: object) -> str:
    """A foreign text for HTML: markup escaped, control characters and marks of direction visible.

    >>> safe('<b>"a"\\n')
    '&lt;b&gt;&quot;a&quot;\\\\n'
    """
    return escape(shown(str(text)), quote=True)


def card(
    texts: Sequence[str],
    headline: str,
    facts: Mapping[str, object],
    signature: str,
    *,
    picture: str = "",
) -> str:
    """One result as a small piece of HTML, for ``_repr_html_``.

    texts:     what was compared, two or more; headline: the result in one line
    facts:     further lines, by name; signature: the last one, folded
    picture:   HTML that is already safe, such as that of ``bars`` or ``image``
    """
    pair = " <span style='opacity:.7'>and</span> ".join(
        f"<bdi dir='auto'><b>{safe(text)}</b></bdi>" for text in texts
    )
    lines = "".join(
        "<tr><th scope='row' style='text-align:left;padding:.1em .9em .1em 0;font-weight:normal;"
        f"opacity:.75'>{safe(name)}</th><td style='text-align:left'>{safe(value)}</td></tr>"
        for name, value in facts.items()
    )
    return (
        f"<div style='{_CARD}'><div>{pair}</div>"
        f"<div style='font-size:1.35em;margin:.2em 0'>{safe(headline)}</div>{picture}"
        f"<table style='border-collapse:collapse;margin:.3em 0;color:inherit'>{lines}</table>"
        "<details><summary>signature</summary>"
        f"<code style='overflow-wrap:anywhere'>{escape(signature, quote=True)}</code></details>"
        "</div>"
    )


def bars(values: Sequence[float], says: str) -> str:
    """Numbers ≥ 0 as a row of bars in the colour of the text around them. says: in words."""
    tallest = max(values, default=0.0)
    if not tallest > 0:
        return ""
    width = 100 / len(values)
    drawn = "".join(
        f"<rect x='{n * width:.3f}' y='{30 * (1 - value / tallest):.3f}' "
        f"width='{0.86 * width:.3f}' height='{30 * value / tallest:.3f}'/>"
        for n, value in enumerate(values)
    )
    return (
        f"<svg role='img' aria-label='{safe(says)}' viewBox='0 0 100 30' width='200' height='40' "
        "preserveAspectRatio='none' fill='currentColor' style='opacity:.8'>"
        f"<title>{safe(says)}</title>{drawn}</svg>"
    )


def picture_png(picture: Any) -> bytes:
    """A picture (H, W, 3) in 0 … 1 as PNG."""
    from PIL import Image

    out = io.BytesIO()
    scaled = (picture.clip(0, 1) * 255).round().astype("uint8")
    Image.fromarray(scaled).save(out, format="PNG", optimize=True)
    return out.getvalue()


def image(png: bytes, says: str) -> str:
    """A picture inside the HTML. says: what it shows, in words."""
    data = b64encode(png).decode()
    return f"<img src='data:image/png;base64,{data}' alt='{safe(says)}' style='max-width:100%'>"


def axes_of(ax: Axes | None) -> Axes:
    """``ax``, or the axes of a new figure of pyplot, which a notebook shows.

    Raises InputError where there is no matplotlib.
    """
    if ax is not None:
        return ax
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("figures need matplotlib: pip install 'conjure[plots]'")
    from matplotlib import pyplot

    return pyplot.subplots(figsize=_SIZE, layout="constrained")[1]


def draw_profiles(axes: Axes, texts: Sequence[str], values: Sequence[Any], unit: str) -> Axes:
    """The mean over samples at each step, and its standard error; the same axes.

    values: (samples, steps) array of the trajectories of each of the two texts, in ``unit``
    """
    from matplotlib.ticker import MaxNLocator

    for place, (colour, marker) in enumerate(((FIRST, "o"), (SECOND, "s"))):
        samples, steps = values[place].shape
        mean, numbers = values[place].mean(axis=0), range(1, steps + 1)
        label = f"{place + 1}: {drawable(shown(texts[place], 40))}"
        axes.plot(numbers, mean, f"{marker}-", color=colour, markersize=4, label=label)
        if samples > 1:
            error = values[place].std(axis=0, ddof=1) / math.sqrt(samples)
            axes.fill_between(numbers, mean - error, mean + error, color=colour, alpha=0.2, lw=0)
    axes.set_xlabel("step, from noise to picture")
    axes.set_ylabel(unit)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    for line in axes.legend(title="on the trajectories of", frameon=False).get_texts():
        line.set_parse_math(False)  # a text may hold dollars
    return axes


def drawable(text: str) -> str:
    """The text with characters that the font lacks as visible escapes, in place of empty boxes."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    known = get_font(findfont(FontProperties())).get_charmap()
    return "".join(c if c.isspace() or ord(c) in known else ascii(c)[1:-1] for c in text)


def png(draw: Callable[[Axes], object]) -> bytes | None:
    """What ``draw`` makes of empty axes as PNG, for ``_repr_png_``; None without matplotlib.

    A notebook shows the HTML then. Nothing global is touched.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained", facecolor="white")
    draw(figure.subplots())
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI, metadata={"Software": None})
    return out.getvalue()


def pandas() -> Any:
    """The module. Raises InputError that says how to get it where it is not installed."""
    try:
        import pandas as found
    except ImportError as error:
        raise InputError("a table needs pandas: pip install 'conjure[pandas]'") from error
    return found
