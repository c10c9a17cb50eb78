"""What the command line prints: the same facts as lines for people and as JSON for programs."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from .. import __version__
from ..core.errors import InputError
from ..core.text import message, printable, shown
from ..stats.correlation import correlation_object, percent

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess
    from ..core.spec import Signature, Spec
    from ..datasets.cards import DatasetCard
    from ..datasets.read import Dataset
    from ..similarity import Distance
    from ..stats.correlation import Correlation, SubsetCorrelations


@dataclass(frozen=True)
class Evaluation:
    """What ``evaluate`` found; ``parts`` is None where the set has no subsets."""

    dataset: Dataset
    whole: Correlation
    parts: SubsetCorrelations | None
    spec: Spec
    signature: Signature
    process: GenerativeProcess


def tell(line: str) -> None:
    """One line for people, on stderr; whatever it quotes is made safe to print here."""
    with suppress(OSError):  # a stderr whose reader has gone must not cost the result
        click.echo(f"conjure: {message(line)}", err=True)


def json_text(facts: object) -> str:
    """Facts as JSON, texts whole; InputError rather than the NaN that JSON does not have."""
    try:
        return json.dumps(facts, allow_nan=False)
    except ValueError as error:
        raise InputError(
            "the result holds a number that is not finite, which JSON cannot carry: "
            "leave --json out to see it"
        ) from error


def process_facts(process: GenerativeProcess) -> dict[str, Any]:
    """What a result was measured by, as fields for programs; the signature says it in one line."""
    return {
        "process": {"name": process.name, "revision": process.revision},
        "sampler": process.sampler,
        "dtype": process.dtype,
        "version": __version__,
    }


def estimate_facts(spec: Spec) -> list[str]:
    """What is only estimated, for people; nothing where nothing is."""
    facts = []
    if spec.cross_steps is not None:
        facts.append(
            f"predicted under the other prompt at {spec.cross_steps} of the steps behind the first,"
            " drawn at random"
        )
    if spec.tolerance is not None:
        facts.append(
            f"samples doubled until the interval is within {spec.tolerance:g} × the value,"
            f" or they are {spec.max_samples}"
        )
    return facts


def _estimate_lines(spec: Spec) -> list[str]:
    return [f"{'estimate':<10} {fact}" for fact in estimate_facts(spec)]


def distance_object(distance: Distance, process: GenerativeProcess) -> dict[str, Any]:
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
        "approximation": distance.spec.approximation() or None,
        **process_facts(process),
        "signature": distance.signature.object(),
        "terms": recorded,
    }


def distance_lines(distance: Distance) -> str:
    """A distance for people, with its uncertainty or the plain word that there is none."""
    lines = [f"{shown(distance.text1)} | {shown(distance.text2)}"]
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
    lines += _estimate_lines(distance.spec)
    lines.append(f"{'signature':<10} {printable(str(distance.signature))}")
    return "\n".join(lines)


def evaluation_object(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as one JSON object; coefficients and their intervals are × 100.

    ``subsets`` holds a correlation for each subset, or is null where the set has none; their
    means are of Spearman's coefficient, null with a ``subset_reason`` where a subset has none.
    """
    from ..datasets.read import SUBSAMPLE_SEED

    dataset, found, parts = evaluation.dataset, evaluation.whole, evaluation.parts
    return {
        "dataset": dataset.name,
        **correlation_object(found),
        "total": dataset.total,
        "left_out": len(dataset.table.bad),
        "subsample_seed": SUBSAMPLE_SEED if found.n < dataset.total else None,
        "subsets": parts and {name: correlation_object(part) for name, part in parts.each.items()},
        "subset_mean": parts and percent(parts.mean),
        "subset_weighted_mean": parts and percent(parts.weighted_mean),
        "subset_reason": parts and parts.reason,
        "approximation": evaluation.spec.approximation() or None,
        **process_facts(evaluation.process),
        "signature": evaluation.signature.object(),
    }


def evaluation_lines(evaluation: Evaluation) -> str:
    """An evaluation for people; coefficients × 100."""
    facts = evaluation_object(evaluation)
    part = ""
    if facts["subsample_seed"] is not None:
        part = f" of {facts['total']}, drawn with seed {facts['subsample_seed']}"
    p_value = f"{facts['p_value']:.2g}" if facts["p_value"] else "below 1e-300"
    about = f"95 % bootstrap interval over {facts['interval_over']}: "
    lines = [
        f"{'dataset':<10} {shown(facts['dataset'])}",
        f"{'n':<10} {facts['n']} pairs{part}",
        f"{'Spearman':<10} {facts['spearman']:.2f}  ({_interval_text(facts, about)})",
        f"{'Pearson':<10} {facts['pearson']:.2f}",
        f"{'Kendall':<10} {facts['kendall']:.2f}",
        f"{'p-value':<10} {p_value}  (of Spearman, two-sided)",
        *(_subset_lines(facts) if facts["subsets"] else []),
        *_estimate_lines(evaluation.spec),
        f"{'signature':<10} {printable(str(evaluation.signature))}",
    ]
    return "\n".join(lines)


def _interval_text(facts: dict[str, Any], about: str = "") -> str:
    """What the interval is about and its bounds, or why there is none."""
    if facts["interval"] is None:
        return f"no interval: {facts['interval_reason']}"
    low, high = facts["interval"]
    return f"{about}{low:.2f} to {high:.2f}"


def _subset_lines(facts: dict[str, Any]) -> list[str]:
    """Spearman's coefficient within each subset, and their averages."""
    means = {"mean": facts["subset_mean"], "weighted mean": facts["subset_weighted_mean"]}
    width = max(map(len, [*(shown(name, 40) for name in facts["subsets"]), *means]))
    lines = [f"{'subsets':<10} Spearman within each"]
    for name, part in facts["subsets"].items():
        noun = "pair " if part["n"] == 1 else "pairs"
        row = f"  {shown(name, 40):<{width}}  {part['n']:>5} {noun}  "
        if part["spearman"] is None:
            lines.append(f"{row}none: {part['reason']}")
        else:
            lines.append(f"{row}{part['spearman']:6.2f}  ({_interval_text(part)})")
    for name, value in means.items():
        figure = f"none: {shown(facts['subset_reason'])}" if value is None else f"{value:6.2f}"
        lines.append(f"  {name:<{width}}  {'':>5}        {figure}")
    return lines


def dataset_object(name: str, card: DatasetCard) -> dict[str, Any]:
    """What a set is, as one JSON object."""
    return {"name": name, **asdict(card)}


def dataset_lines(name: str, card: DatasetCard) -> str:
    """What a set is, for people."""
    low, high = card.scale
    places = [f"--data-dir with {', '.join(card.files)}"]
    if card.hub:
        places.insert(0, f"{card.hub.repo} at {card.hub.revision[:12]}, or")
    parts = card.subsets and ", ".join(f"{part} {count}" for part, count in card.subsets.items())
    return "\n".join(
        [
            f"{name:<10} {card.pairs:,} pairs, scores from {low:g} to {high:g}",
            f"{'':<10} {card.source}",
            *([f"{'':<10} subsets: {parts}"] if parts else []),
            f"{'':<10} licence: {card.licence}",
            f"{'':<10} from: {' '.join(places)}",
        ]
    )
