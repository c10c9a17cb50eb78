"""What several commands print: lines on stderr, JSON on stdout, and how a result was measured."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from .. import __version__
from ..core.errors import InputError
from ..core.text import message, printable

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess
    from ..core.spec import Signature, Spec
    from ..runs.scorers import Scorer


def tell(line: str) -> None:
    """Print one line for people, on stderr; whatever it quotes is made safe here."""
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
    """What a result was measured with, as JSON fields; the signature says the same in one line."""
    return {
        "process": {"name": process.name, "revision": process.revision},
        "sampler": process.sampler,
        "dtype": process.dtype,
        "version": __version__,
    }


def estimate_facts(spec: Spec) -> list[str]:
    """What is only estimated, in lines for people; nothing where nothing is."""
    facts = []
    if spec.cross_steps is not None:
        facts.append(
            f"predicted under the other prompt at {spec.cross_steps} of the steps after the first,"
            " drawn at random"
        )
    if spec.tolerance is not None:
        facts.append(
            f"samples doubled until the interval is within {spec.tolerance:g} × the value,"
            f" or they are {spec.max_samples}"
        )
    return facts


def scorer_facts(scorer: Scorer) -> dict[str, Any]:
    """What a table was measured with, by a process or a baseline, as JSON fields."""
    from ..runs.scorers import BaselineScorer, ProcessScorer

    if isinstance(scorer, ProcessScorer):
        approximation = scorer.spec.approximation() or None
        return {"approximation": approximation, **process_facts(scorer.process), "baseline": None}
    name = scorer.baseline.name if isinstance(scorer, BaselineScorer) else None
    key = scorer.signature.key
    return {
        "approximation": None,
        "process": None,
        "sampler": None,
        "dtype": key.get("dtype"),
        "version": __version__,
        "baseline": {"name": name, "revision": key.get("revision")},
    }


def estimate_lines(spec: Spec) -> list[str]:
    """What is only estimated, as lines of a result."""
    return [f"{'estimate':<10} {fact}" for fact in estimate_facts(spec)]


def signature_line(signature: Signature) -> str:
    """The last line of a result: how to measure it again."""
    return f"{'signature':<10} {printable(str(signature))}"
