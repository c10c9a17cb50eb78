"""What the command line prints: the same facts as lines for people and as JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .benchmarks.correlation import Correlation
    from .benchmarks.datasets import Dataset
    from .similarity import Distance


def distance_object(distance: Distance) -> dict[str, Any]:
    """A distance as one JSON object; ``terms`` holds (samples, steps) lists, by direction."""
    recorded = {
        name: tensor.tolist()
        for name in ("forward", "backward", "output", "coupled", "weights")
        if (tensor := getattr(distance.terms, name)) is not None
    }
    return {
        "text1": distance.text1,
        "text2": distance.text2,
        "value": distance.value,
        "standard_error": distance.standard_error,
        "interval": distance.interval,
        "estimand": distance.estimand,
        "samples": distance.samples,
        "steps": distance.steps,
        "guidance": distance.guidance,
        "seed": distance.seed,
        "signature": distance.signature,
        "terms": recorded,
    }


def distance_lines(distance: Distance) -> str:
    """A distance for people, with its uncertainty or the plain word that there is none."""
    lines = [f"{distance.text1} | {distance.text2}"]
    if distance.standard_error is None or distance.interval is None:
        lines.append(
            f"{distance.estimand:<10} {distance.value:.6g}  "
            "(one sample, so no error bar: --samples 4 gives one)"
        )
    else:
        low, high = distance.interval
        lines.append(
            f"{distance.estimand:<10} {distance.value:.6g} ± {distance.standard_error:.2g}  "
            f"(standard error over {distance.samples} samples)"
        )
        lines.append(f"{'95 %':<10} {low:.6g} to {high:.6g}")
    lines.append(f"{'signature':<10} {distance.signature}")
    return "\n".join(lines)


def evaluation_object(dataset: Dataset, found: Correlation, signature: str) -> dict[str, Any]:
    """An evaluation as one JSON object; coefficients and their interval are × 100."""
    from .benchmarks.datasets import SUBSAMPLE_SEED

    return {
        "dataset": dataset.name,
        "spearman": 100 * found.spearman,
        "pearson": 100 * found.pearson,
        "interval": [100 * bound for bound in found.interval],
        "p_value": found.p_value,
        "n": found.n,
        "total": dataset.total,
        "subsample_seed": SUBSAMPLE_SEED if found.n < dataset.total else None,
        "signature": signature,
    }


def evaluation_lines(dataset: Dataset, found: Correlation, signature: str) -> str:
    """An evaluation for people; coefficients × 100, as the literature prints them."""
    facts = evaluation_object(dataset, found, signature)
    low, high = facts["interval"]
    part = ""
    if facts["subsample_seed"] is not None:
        part = f" of {dataset.total}, drawn with seed {facts['subsample_seed']}"
    return "\n".join(
        [
            f"{'dataset':<10} {dataset.name}",
            f"{'n':<10} {found.n} pairs{part}",
            f"{'Spearman':<10} {facts['spearman']:.2f}  "
            f"(95 % bootstrap interval over pairs {low:.2f} to {high:.2f})",
            f"{'Pearson':<10} {facts['pearson']:.2f}",
            f"{'p-value':<10} {found.p_value:.2g}  (of Spearman, two-sided)",
            f"{'signature':<10} {signature}",
        ]
    )
