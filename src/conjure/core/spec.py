"""What decides a number, and the name that a number carries: ``Spec`` and ``Signature``.

A *key* holds what determines a number; work that is kept is found by it. *Provenance* holds what
only rounds a number: the batch size actually used, the device, the versions.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any

from .checks import checked_seeds, positive, whole
from .errors import InputError
from .registry import RECORDS, Estimand, additive_names, find_estimand
from .text import brief, fact

if TYPE_CHECKING:
    from .process import GenerativeProcess
    from .uncertainty import Estimate

SCHEMA = 1  # raised when the same key would give other numbers
_PACKAGES = ("conjure", "torch", "diffusers", "transformers")  # whose versions may round a number

Fact = str | int | float | bool | None


@dataclass(frozen=True)
class Spec:
    """Everything besides the process that decides a number.

    samples:     k, noises to average over; sample i starts from the noise of seed + i
    seed:        the first seed, at least 0; all are below 2³², for torch's CPU generator reads no
                 more bits of one
    estimand:    a registered name, such as "jeffreys" or "pointwise:3"
    cross_steps: an estimate: predict under the other prompt at m of the T − 1 steps behind the
                 first only, drawn anew for each pair and sample. That takes 2m rows a pair and
                 sample in place of 2(T − 1). Unbiased, for estimands that add over steps
    tolerance:   adaptive k: begin with ``samples`` and double them until the 95 % interval
                 reaches at most ``tolerance`` × the value above the value. The result is the mean
                 of all samples; the interval was looked at several times, so it covers somewhat
                 less than 95 %
    max_samples: where adaptive k ends
    record:      what to keep besides what the estimand needs: names out of RECORDS

    Raises InputError for a value that cannot be meant. ``check`` looks at what T decides.
    """

    samples: int = 1
    seed: int = 0
    estimand: str = "jeffreys"
    cross_steps: int | None = None
    tolerance: float | None = None
    max_samples: int = 64
    record: Collection[str] = frozenset()

    def __post_init__(self) -> None:
        self._settle("samples", 1)
        self._settle("max_samples", 1)
        most = self.samples if self.tolerance is None else max(self.samples, self.max_samples)
        object.__setattr__(self, "seed", checked_seeds(self.seed, most))
        find_estimand(self.estimand)
        object.__setattr__(self, "record", frozenset(self.record))
        if unknown := sorted({*self.record} - {*RECORDS}):
            raise InputError(f"record: {brief(unknown[0])} is unknown; give {', '.join(RECORDS)}")
        if self.cross_steps is not None:
            self._settle("cross_steps", 1)
            if not self.entry.additive:
                raise InputError(
                    f"estimand {self.estimand!r} needs every step: "
                    f"cross_steps goes with {', '.join(additive_names())}"
                )
        if self.tolerance is not None:
            self._check_tolerance(self.tolerance)

    def _settle(self, name: str, minimum: int) -> None:
        """Check a whole number, and keep it as an int: NumPy's integers are taken, too."""
        object.__setattr__(self, name, whole(name, getattr(self, name), minimum=minimum))

    def _check_tolerance(self, tolerance: float) -> None:
        object.__setattr__(self, "tolerance", positive("tolerance", tolerance))
        if self.samples < 2:
            raise InputError("a tolerance needs an interval to begin with: samples of 2 or more")
        whole("max_samples", self.max_samples, minimum=self.samples)

    @property
    def entry(self) -> Estimand:
        """The estimand's entry in the registry."""
        return find_estimand(self.estimand)

    @property
    def needs(self) -> frozenset[str]:
        """Everything that is to be recorded."""
        return self.entry.needs | frozenset(self.record)

    @property
    def finish(self) -> bool:
        """Whether trajectories take their last step, to x_0: whatever is recorded needs it."""
        return bool(self.needs)

    @property
    def keeps_uncond(self) -> bool:
        """Whether ε_∅ stays with the trajectories."""
        return bool(self.needs & {"coupled", "unconditional"})

    @property
    def adaptive(self) -> bool:
        """Whether k grows until the interval is small enough."""
        return self.tolerance is not None

    def check(self, process: GenerativeProcess) -> None:
        """Raise InputError for what does not go with the process's steps or sampler."""
        self.check_steps(len(process.schedule))
        process_key(process)  # its settings may be none that a signature can hold
        self.entry.check(process.schedule)

    def check_steps(self, steps: int) -> None:
        """Raise InputError for what does not go with T = ``steps``; no process is needed yet."""
        if self.cross_steps is not None and self.cross_steps > steps - 1:
            raise InputError(
                f"cross_steps must be at most {steps - 1}, the steps behind the first, "
                f"not {self.cross_steps}"
            )
        self.entry.check_steps(steps)

    def enough(self, found: Estimate, samples: int) -> bool:
        """Whether so many samples suffice."""
        if self.tolerance is None or found.interval is None or samples >= self.max_samples:
            return True
        return found.interval[1] - found.value <= self.tolerance * abs(found.value)

    def next_samples(self, samples: int) -> int:
        """How many samples to take where so many were not enough."""
        return min(2 * samples, self.max_samples)

    def approximation(self) -> dict[str, Fact]:
        """What is only estimated; empty where nothing is."""
        found: dict[str, Fact] = {}
        if self.cross_steps is not None:
            found["cross_steps"] = self.cross_steps
        if self.tolerance is not None:
            found |= {"tolerance": self.tolerance, "max_samples": self.max_samples}
        return found


@dataclass(frozen=True)
class Signature:
    """How a number was measured. Equal keys name equal numbers, up to rounding.

    key:        what determines the number
    provenance: what only rounds it: batch size, device, versions; not compared

    ``str(signature)`` is one line for people, in sacreBLEU's manner. Nothing reads it back:
    programs use the object.
    """

    key: Mapping[str, Fact]
    provenance: Mapping[str, Fact] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        facts = {"process": self.provenance.get("name"), **self.key, **self.provenance}
        if self.key.get("process") is None:  # the key leaves a mere label out
            facts["process"] = self.provenance.get("name")
        return "|".join(
            f"{fact(_SHORT.get(name, name), ':')}:{fact(_printed(value), ':')}"
            for name, value in facts.items()
            if value is not None and name not in _UNPRINTED and (name, value) not in _USUAL
        )

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that stand for the key."""
        text = json.dumps(dict(self.key), sort_keys=True, ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def object(self) -> dict[str, Any]:
        """As a JSON object: key, provenance, digest, and the printed line."""
        return {
            "key": dict(self.key),
            "provenance": dict(self.provenance),
            "digest": self.digest,
            "line": str(self),
        }


_UNPRINTED = ("name", "torch", "diffusers", "transformers")  # only the object has them
_USUAL = (("guidance", "classifier-free"), ("schema", SCHEMA))  # the printed line leaves them out
# What the printed line calls a fact, where that is shorter.
_SHORT = {"revision": "rev", "steps": "T", "guidance_scale": "w", "samples": "k", "conjure": "v"}


def sign(process: GenerativeProcess, spec: Spec) -> Signature:
    """The signature of a number that ``spec`` asks of ``process``, as things stand now.

    Made after a run, its provenance holds the batch size that was used in the end.
    """
    measured = {
        "samples": f"{spec.samples}..{spec.max_samples}" if spec.adaptive else spec.samples,
        "seed": spec.seed,
        "estimand": spec.estimand,
        **spec.entry.reading(process),
        **{name: value for name, value in spec.approximation().items() if name != "max_samples"},
    }
    return Signature({**process_key(process), **measured}, provenance(process))


def sign_process(process: GenerativeProcess) -> Signature:
    """The signature of everything that a process gives, whatever is measured with it.

    Kept terms are found by its key, together with their pair and seed.
    """
    return Signature(process_key(process), provenance(process))


def process_key(process: GenerativeProcess) -> dict[str, Fact]:
    """What of a process determines a number.

    The name is left out where the revision is a hash of all weights: then the name is a label.
    Further settings of a family (image size, negative prompt, adapters) come from its
    ``settings``, a mapping, where it has one.
    """
    hashed = process.revision.startswith("sha256-")
    own = {
        "process": None if hashed else process.name,
        "revision": process.revision or None,
        "sampler": process.sampler,
        "steps": len(process.schedule),
        "schedule": process.schedule.digest,
        "guidance_scale": process.guidance,
        "guidance": process.guidance_mode,
        "size": "x".join(map(str, process.latent_shape)),
        "dtype": process.dtype,
        "schema": SCHEMA,
    }
    settings = getattr(process, "settings", {})
    if not isinstance(settings, Mapping):
        raise InputError(
            f"process {brief(process.name)}: settings must be a mapping, not {brief(settings)}"
        )
    for name, value in settings.items():
        if name in own or not _is_fact(value):
            why = "is a name of conjure's own" if name in own else f"cannot be {brief(value)}"
            raise InputError(
                f"process {brief(process.name)}: the setting {brief(name)} {why}; a signature holds"
                " other names, with texts, finite numbers, True, False or None"
            )
    return {**own, **settings}


def _is_fact(value: object) -> bool:
    """Whether a value can be written into a signature."""
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


def provenance(process: GenerativeProcess) -> dict[str, Fact]:
    """What of a run only rounds its numbers, and the name that the process goes by."""
    return {
        "name": process.name,
        "batch": process.batch_size,
        "device": str(process.device),
        **{name: found for name in _PACKAGES if (found := _version(name)) is not None},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _printed(value: Fact) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)
