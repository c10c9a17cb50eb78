"""Results as one self-contained HTML file: no script, nothing fetched, a table beside every figure.

``write_page`` writes an explanation. ``view.py`` says what it shows, ``templates/`` how.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...datasets.files import replacing

if TYPE_CHECKING:
    from jinja2 import Environment

    from ...explanation.record import Explanation


def write_page(explanation: Explanation, path: str | os.PathLike[str]) -> Path:
    """Write an explanation as one HTML file, complete or not at all; returns its path.

    Raises InputError where matplotlib is missing or the file cannot be written.
    """
    from ..plots.style import check_matplotlib

    check_matplotlib()
    return save_page(page(explanation), Path(path))


def page(explanation: Explanation) -> str:
    """The HTML of an explanation."""
    from .view import context

    return render("explanation.html", **context(explanation))


def save_page(html: str, path: Path) -> Path:
    """Write a page, complete or not at all."""
    with replacing(path) as draft:
        draft.write_text(html, encoding="utf-8", newline="\n")
    return path


def render(name: str, **facts: Any) -> str:
    """A template with its facts; every text in it is escaped."""
    return _templates().get_template(name).render(**facts)


@cache
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
