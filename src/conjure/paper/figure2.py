"""Figure 2 of the paper: distances between its words as pictures, tables and a test."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from ..core.spec import Spec, sign
from ..core.uncertainty import estimate
from ..matrices.record import Matrix
from ..report.grids import Grid
from ..report.plots.matrices import UNITS, decimals_of, draw_matrices
from ..report.report import Report
from ..runs.parts import Turns
from ..stats.resampling import Array
from ..stats.separation import Separation, separation
from .ablations import settings_line
from .run import Run
from .words import GROUPS, WordGroup, word_matrices


def figure2(run: Run) -> Report:
    """Distances between the paper's words, and whether their classes show."""
    k = run.figure_samples
    matrices = []
    turns = Turns()
    for group in GROUPS:
        with turns.one():
            matrices.append(word_matrices(run.passes, run.process, group.words, k))
    turns.end()
    signature = sign(run.process, Spec(k, run.passes.seed))
    means = [
        Matrix.of_samples(group.words, each, "jeffreys", signature, group.labels)
        for group, each in zip(GROUPS, matrices, strict=True)
    ]
    tests = [mean.between_within() for mean in means]
    errors = [mean.standard_errors for mean in means if mean.standard_errors is not None]
    draw_matrices(
        [group.classes for group in GROUPS],
        [mean.values for mean in means],
        errors or None,
        [_caption(group, test) for group, test in zip(GROUPS, tests, strict=True)],
        run.options.out / "figure2",
        title=_title(settings_line(run, "samples"), k),
    )
    parts = list(zip(GROUPS, matrices, tests, strict=True))
    return Report(
        "figure2",
        "Figure 2: distances between words",
        (
            ("Mean distance within classes and across them", _tests_grid(parts)),
            *((f"{g.name}: {_joined(UNITS)}", _matrix_grid(g, matrix)) for g, matrix, _ in parts),
        ),
        (
            "p: share of all divisions of the words into classes of these sizes that are at least "
            "as far apart; exact, one-sided. No division can give less than the smallest p.",
            "± is a standard error over k samples. The distance of a word to itself is 0.",
            f"Measured: {signature}",
        ),
        pictures=(("figure2", "Distances between words of two classes, as heat maps"),),
        objects={
            "unit": _joined(UNITS),
            "signature": signature.object(),
            "groups": [_group_object(*part) for part in parts],
        },
    )


def _title(settings: str, k: int) -> str:
    if k == 1:
        return f"{settings}, k = 1"
    return f"{settings}, k = {k}\nin the cells: mean ± standard error over {k} samples"


def _caption(group: WordGroup, test: Separation) -> str:
    return (
        f"{group.name}: {' and '.join(group.classes)}\n"
        f"mean distance within classes {test.within:.3g}, across {test.between:.3g}\n"
        f"permutation test: p = {test.p_value:.2g} (least possible {test.min_p:.2g})"
    )


def _tests_grid(parts: Iterable[tuple[WordGroup, Array, Separation]]) -> Grid:
    grid = [["words", "within", "across", "across − within", "p", "smallest p", "divisions"]]
    for group, matrix, test in parts:
        each = [separation(one, group.labels) for one in matrix]
        apart = np.array([one.between - one.within for one in each])
        decimals = decimals_of(matrix)
        grid.append(
            [
                " / ".join(group.classes),
                f"{test.within:.{decimals}f}",
                f"{test.between:.{decimals}f}",
                _with_error(apart, decimals),
                f"{test.p_value:.3f}",
                f"{test.min_p:.3f}",
                str(test.divisions),
            ]
        )
    return grid


def _with_error(values: Array, decimals: int) -> str:
    """The mean over samples, with its standard error where there are several."""
    found = estimate(torch.from_numpy(values))
    error = "" if found.standard_error is None else f" ± {found.standard_error:.{decimals}f}"
    return f"{found.value:.{decimals}f}{error}"


def _matrix_grid(group: WordGroup, matrix: Array) -> Grid:
    lines, n, decimals = [["", *group.words]], len(group.words), decimals_of(matrix)
    for i, word in enumerate(group.words):
        line = ["0" if i == j else _with_error(matrix[:, i, j], decimals) for j in range(n)]
        lines.append([word, *line])
    return lines


def _group_object(group: WordGroup, matrix: Array, test: Separation) -> dict[str, Any]:
    """``samples`` holds the (k, n, n) distances; everything else follows from them."""
    return {
        "name": group.name,
        "words": list(group.words),
        "classes": list(group.labels),
        "distances": matrix.mean(axis=0).tolist(),
        "samples": matrix.tolist(),
        "within": test.within,
        "between": test.between,
        "p_value": test.p_value,
        "min_p": test.min_p,
        "divisions": test.divisions,
    }


def _joined(text: str) -> str:
    return text.replace("\n", " ")
