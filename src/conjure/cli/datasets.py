"""``conjure datasets``: the human-annotated sets that are known by name."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from ..datasets.cards import DATASETS, DatasetCard
from .options import Checked
from .wording import json_text


@click.command(cls=Checked)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def datasets(as_json: bool) -> None:
    """List the human-annotated sets: size, scale, subsets, source, licence and files."""
    if as_json:
        click.echo(json_text([_object(name, card) for name, card in DATASETS.items()]))
    else:
        click.echo("\n\n".join(_lines(name, card) for name, card in DATASETS.items()))


def _object(name: str, card: DatasetCard) -> dict[str, Any]:
    """What a set is, as one JSON object."""
    return {"name": name, **asdict(card)}


def _lines(name: str, card: DatasetCard) -> str:
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
