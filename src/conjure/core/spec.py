"""``Spec``: what to measure. ``Signature``: how a number was measured.

A signature's *key* holds everything that determines a number; a store finds kept work by it. Its
*provenance* holds what only changes the rounding: the batch size that was used, the device, the
versions.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from .checks import checked_seeds, positive, whole
from .currency import currency
from .errors import InputError
from .registry import RECORDS, Estimand, additive_names, find_estimand
from .text import brief, fact

if TYPE_CHECKING:
    from .process import GenerativeProcess
    from .uncertainty import Estimate

SCHEMA = 1  # increased when the same key would give other numbers
_PACKAGES = ("conjure", "torch", "diffusers", "transformers")  # their versions may change rounding

Fact = str | int | float | bool | None


@dataclass(frozen=True)
class Spec:
    """What to measure: everything besides the process that determines a number.

    samples:     k, noises to average over; sample i starts from the noise of seed + i
    seed:        the first seed, at least 0; all are below 2³², for torch's CPU generator reads no
                 more bits of one
    estimand:    a registered name, such as "jeffreys" or "pointwise:3"
    cross_steps: m. An estimate: cross predictions at m of the last T − 1 steps only, drawn anew
                 for each pair and sample. It costs 2m rows a pair and sample in place of
                 2(T − 1). Unbiased, for estimands that are sums over steps
    tolerance:   adaptive k. An estimate: start with ``samples`` and double them until the upper
                 end of the 95 % interval is at most ``tolerance`` × the value above the value. The
                 result is the mean of all samples. The interval is tested several times, so it
                 covers somewhat less than 95 %
    max_samples: the maximum of adaptive k
    record:      what to record besides what the estimand needs: names from RECORDS

    Raises InputError for an invalid value. ``check`` tests what depends on the process.
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
        """Check a whole number and keep it as an int; NumPy's integers are accepted."""
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
        """Everything that a run must record: names from RECORDS."""
        return self.entry.needs | frozenset(self.record)

    @property
    def finish(self) -> bool:
        """Whether trajectories take their last step, to x_0; every record needs it."""
        return bool(self.needs)

    @property
    def keeps_uncond(self) -> bool:
        """Whether trajectories keep ε_∅."""
        return bool(self.needs & {"coupled", "unconditional"})

    @property
    def adaptive(self) -> bool:
        """Whether k grows until the interval is narrow enough."""
        return self.tolerance is not None

    def check(self, process: GenerativeProcess) -> None:
        """Raise InputError if the spec does not fit the steps or the sampler of the process.

        Every run begins with it. So the process first notices what was changed by hand.
        """
        refresh(process)
        self.check_steps(len(process.schedule))
        process_key(process)  # its settings may be none that a signature can hold
        self.entry.check(process.schedule, currency(process))
        self._check_factors(process)

    def _check_factors(self, process: GenerativeProcess) -> None:
        """Refuse an estimand of steps with the factor 0 alone: it is 0 for every pair.

        A flow-matching model starts at σ = 1, where ε is x under any prompt.
        """
        scale = getattr(process, "comparison_scale", None)
        if scale is None or all(scale) or self.entry.needs:
            return
        import torch

        from .types import Terms

        ones = torch.tensor([scale], dtype=torch.float64).square()
        if not self.entry(Terms(ones, ones, process.schedule, compare=currency(process))).any():
            raise InputError(
                f"estimand {self.estimand!r} is 0 for every pair in this process: it reads steps"
                f" alone at which {currency(process)} does not depend on the prompt; set compare"
                " to 'velocity', or read more steps"
            )

    def check_steps(self, steps: int) -> None:
        """Raise InputError if the spec does not fit T = ``steps``; needs no process."""
        if self.cross_steps is not None and self.cross_steps > steps - 1:
            raise InputError(
                f"cross_steps must be at most {steps - 1}, the number of steps after the first, "
                f"not {self.cross_steps}"
            )
        self.entry.check_steps(steps)

    def enough(self, found: Estimate, samples: int) -> bool:
        """Whether this number of samples is enough for the tolerance."""
        if self.tolerance is None or found.interval is None or samples >= self.max_samples:
            return True
        return found.interval[1] - found.value <= self.tolerance * abs(found.value)

    def next_samples(self, samples: int) -> int:
        """The next number of samples to try."""
        return min(2 * samples, self.max_samples)

    def approximation(self) -> dict[str, Fact]:
        """The settings that make the number an estimate; empty if it is not one."""
        found: dict[str, Fact] = {}
        if self.cross_steps is not None:
            found["cross_steps"] = self.cross_steps
        if self.tolerance is not None:
            found |= {"tolerance": self.tolerance, "max_samples": self.max_samples}
        return found


@dataclass(frozen=True)
class Signature:
    """How a number was measured. Equal keys mean equal numbers, up to rounding.

    key:        everything that determines the number
    provenance: what only changes the rounding: batch size, device, versions. Not compared

    ``str(signature)`` is one line for people, in the manner of sacreBLEU. No program parses it:
    programs use the object.
    """

    key: Mapping[str, Fact]
    provenance: Mapping[str, Fact] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        facts = {"process": self.provenance.get("name"), **self.key, **self.provenance}
        if self.key.get("process") is None:  # the key omits a name that is only a label
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


_UNPRINTED = ("name", "torch", "diffusers", "transformers")  # in the object only
_USUAL = (("guidance", "classifier-free"), ("schema", SCHEMA))  # not printed
# Short names of facts in the printed line.
_SHORT = {"revision": "rev", "steps": "T", "guidance_scale": "w", "samples": "k", "conjure": "v"}


def sign(process: GenerativeProcess, spec: Spec) -> Signature:
    """The signature of a number that is measured by ``spec`` in ``process``.

    Make it after the run: then its provenance holds the batch size that was used in the end.
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
    """The signature of a process alone, for terms that are kept for any estimand.

    A store finds terms by its key, the pair and the seed. The process first notices what was
    changed by hand.
    """
    refresh(process)
    return Signature(process_key(process), provenance(process))


def refresh(process: GenerativeProcess) -> None:
    """Let the process bring its revision up to date, if it has a method for that."""
    notice = getattr(process, "refresh", None)
    if callable(notice):
        notice()


def process_key(process: GenerativeProcess) -> dict[str, Fact]:
    """The facts about a process that determine a number.

    The name is omitted if the revision is a hash of all weights: then it is only a label. Further
    settings of a family (image size, negative prompt, adapters) come from the mapping
    ``process.settings``, if there is one.
    """
    hashed = process.revision.startswith("sha256-")
    own = {
        "process": None if hashed else process.name,
        "revision": process.revision or None,
        "sampler": process.sampler,
        "steps": len(process.schedule),
        "schedule": process.schedule.digest,
        "guidance_scale": float(process.guidance),  # 2 and 2.0 are one key
        "guidance": process.guidance_mode,
        "size": "x".join(map(str, process.latent_shape)),
        "dtype": process.dtype,
        "schema": SCHEMA,
    }
    if (compare := currency(process)) != "epsilon":
        own["compare"] = compare
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
    """The facts that only change the rounding, and the name of the process."""
    return {
        "name": process.name,
        "batch": process.batch_size,
        "device": str(process.device),
        **{name: found for name in _PACKAGES if (found := package_version(name)) is not None},
    }


@cache  # a look-up takes milliseconds, and a matrix signs half a million pairs
def package_version(package: str) -> str | None:
    """The version of an installed package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _printed(value: Fact) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)
