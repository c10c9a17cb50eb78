"""Build the references of a process: measure the pairs that ship, by every estimand at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..calibration.lookup import PAIRS, place_of, user_folder
from ..calibration.reference import Reference, reference_key
from ..core.errors import InputError
from ..core.planner import Plan
from ..core.process import GenerativeProcess
from ..core.registry import estimands
from ..core.spec import Spec, sign
from ..core.types import Pair
from ..datasets.files import replacing
from ..similarity import bundled, cost, stream

UNRELATED, PARAPHRASE = "unrelated", "paraphrase"
_RECORD = frozenset({"output", "coupled"})


@dataclass(frozen=True)
class CalibrationPairs:
    """The list that ships: pairs by kind, and a hash of the file."""

    unrelated: tuple[Pair, ...]
    paraphrases: tuple[Pair, ...]
    digest: str

    @property
    def all(self) -> list[Pair]:
        return [*self.unrelated, *self.paraphrases]


def calibration_pairs() -> CalibrationPairs:
    """The pairs, which were written for this: no pair of a human-annotated set is among them."""
    data = PAIRS.read_bytes()
    rows = [line.split("\t") for line in data.decode("utf-8").splitlines()[1:]]
    kinds = {
        kind: tuple((text1, text2) for one, text1, text2 in rows if one == kind)
        for kind in (UNRELATED, PARAPHRASE)
    }
    digest = hashlib.sha256(data).hexdigest()[:12]
    return CalibrationPairs(kinds[UNRELATED], kinds[PARAPHRASE], digest)


def calibration_spec(samples: int, seed: int) -> Spec:
    """What one run records so that every estimand can be reduced from it."""
    return Spec(samples, seed, record=_RECORD)


def calibrated_estimands(process: GenerativeProcess) -> list[str]:
    """The estimands that name no step and have a value in the process."""
    return [
        name
        for name, entry in estimands().items()
        if not entry.at_step and entry.needs <= _RECORD and _exists(name, process)
    ]


def _exists(name: str, process: GenerativeProcess) -> bool:
    try:
        Spec(estimand=name).check(process)
    except InputError:  # another sampler, or 0 for every pair of a flow-matching model
        return False
    return True


def calibration_cost(
    process: GenerativeProcess, samples: int, seed: int, max_memory: int | None = None
) -> Plan:
    """What ``calibrate`` takes, in network rows."""
    pairs = calibration_pairs().all
    return cost(pairs, process, calibration_spec(samples, seed), max_memory=max_memory)


def calibrate(
    process: GenerativeProcess | None = None,
    *,
    samples: int = 1,
    seed: int = 0,
    max_memory: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> dict[str, Reference]:
    """Measure where unrelated and paraphrase-like pairs lie in a process: {estimand: reference}.

    process:  what ``conjure.load`` returns; None is the process that comes with the package
    samples:  k of each pair. More of them make the reference less noisy
    progress: called with (pairs done, pairs in all) after each pair

    One run serves every estimand that names no step. ``save_references`` keeps the result, and
    ``Distance.similarity`` finds it there. Raises the errors of ``conjure.distances``, and
    InputError for a process without a revision, or one that tells unrelated texts not apart.
    """
    process = bundled() if process is None else process
    check_revision(process)
    pairs, spec = calibration_pairs(), calibration_spec(samples, seed)
    names = calibrated_estimands(process)
    values: dict[str, dict[int, float]] = {name: {} for name in names}
    listed = pairs.all
    for done, (place, found) in enumerate(
        stream(listed, process, spec, max_memory=max_memory), start=1
    ):
        for name in names:
            reduced = Spec(estimand=name).entry(found.terms)
            values[name][place] = float(f"{float(reduced.mean()):.7g}")
        if progress is not None:
            progress(done, len(listed))
    first = len(pairs.unrelated)
    return {
        name: Reference(
            reference_key(sign(process, Spec(samples, seed, name))),
            spec.samples,
            spec.seed,
            pairs.digest,
            tuple(sorted(value for place, value in values[name].items() if place < first)),
            tuple(sorted(value for place, value in values[name].items() if place >= first)),
        )
        for name in names
    }


def check_revision(process: GenerativeProcess) -> None:
    """Raise InputError for a process whose weights could change under the same key."""
    if not process.revision:
        raise InputError(
            f"process {process.name!r:.80} has no revision, so its reference could not be told from"
            " another model's: give it one that changes with its weights"
        )


def reference_files(process: GenerativeProcess, folder: Path | None) -> list[Path]:
    """The files that the process's references are kept in."""
    where = checked_folder(folder)
    return [
        place_of(where, reference_key(sign(process, Spec(estimand=name))))
        for name in calibrated_estimands(process)
    ]


def checked_folder(folder: Path | None) -> Path:
    """The folder, by default the user's. Raises InputError where there is none."""
    where = user_folder() if folder is None else folder
    if where is None:
        raise InputError("there is no home folder to keep references in: name a folder")
    return where


def save_references(references: dict[str, Reference], folder: Path | None = None) -> list[Path]:
    """Write each reference to its file, complete or not at all; returns the files.

    folder: by default ``$XDG_DATA_HOME/conjure/calibration``; of another, name it in the
            environment variable ``CONJURE_CALIBRATION`` so that it is found
    """
    where = checked_folder(folder)
    written = []
    try:
        where.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {where}: {error.strerror}") from error
    for reference in references.values():
        path = place_of(where, reference.signature)
        text = json.dumps(reference.object(), ensure_ascii=False, allow_nan=False)
        with replacing(path) as draft:
            draft.write_text(text + "\n", encoding="utf-8")
        written.append(path)
    return written
