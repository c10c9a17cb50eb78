"""What all figures share: size, type, colours, and how they are written.

Colours are Okabe and Ito's, and scales are perceptually uniform, so that figures read the same
with any colour vision and in grey. Nothing global is touched: no pyplot, no settings left behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 5.0  # inches; with 9 pt type, words can be made out at 300 px
DPI = 240  # 1,200 px wide
ENDS = ("png", "svg")

# Okabe & Ito 2008, less the yellow, which is faint on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # colour is never the only difference
SCALE = "viridis"

SPEARMAN = "Spearman × 100 of −distance with human scores"

_SETTINGS: Any = {
    "font.family": "DejaVu Sans",  # which matplotlib brings along
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "text.parse_math": False,  # names of files and rows may hold dollars; no text here is a formula
    "svg.fonttype": "path",  # looks the same wherever it is read, whatever fonts are there
    "svg.hashsalt": "conjure",  # with no date, the same figure is the same file
}


def check_matplotlib() -> None:
    """Raise InputError where figures cannot be drawn; call it before anything is computed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise InputError("figures need matplotlib: pip install 'conjure[plots]'") from error


@contextmanager
def house_style() -> Iterator[None]:
    """Figures that are made and saved within look as ours do."""
    check_matplotlib()
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever a user's matplotlibrc says
        matplotlib.rcParams.update(_SETTINGS)
        yield


def new_figure(height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure of WIDTH × height inches, and its axes row by row, which share no ticks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write ``name.png`` and ``name.svg``; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{end}" for end in ENDS]
    whole: dict[str, Any] = {
        "bbox_inches": "tight",
        "pad_inches": 0.06,
    }  # a long name widens, and is not cut
    figure.savefig(paths[0], dpi=DPI, metadata={"Software": None}, **whole)
    figure.savefig(paths[1], metadata={"Date": None, "Creator": None}, **whole)
    return paths
