"""Two texts mean the same to the degree that they conjure the same images.

Importing this loads nothing heavy: torch, diffusers and transformers come with the first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.errors import ConjureError, InputError, NonFiniteError
    from .core.registry import Estimand, register_estimand
    from .core.spec import Signature, Spec
    from .decoding import pictures
    from .explanation.measuring import explain
    from .explanation.morph import morph
    from .explanation.record import Explanation
    from .matrices.measure import matrix
    from .matrices.record import Matrix
    from .processes import load
    from .processes.registry import register_family
    from .runs.calibrating import calibrate, save_references
    from .similarity import Distance, distance, distances

    __version__: str

_HOMES = {
    "ConjureError": "core.errors",
    "Distance": "similarity",
    "Estimand": "core.registry",
    "Explanation": "explanation.record",
    "InputError": "core.errors",
    "Matrix": "matrices.record",
    "NonFiniteError": "core.errors",
    "Signature": "core.spec",
    "Spec": "core.spec",
    "calibrate": "runs.calibrating",
    "distance": "similarity",
    "distances": "similarity",
    "explain": "explanation.measuring",
    "load": "processes",
    "matrix": "matrices.measure",
    "morph": "explanation.morph",
    "pictures": "decoding",
    "register_estimand": "core.registry",
    "register_family": "processes.registry",
    "save_references": "runs.calibrating",
}

__all__ = [
    "ConjureError",
    "Distance",
    "Estimand",
    "Explanation",
    "InputError",
    "Matrix",
    "NonFiniteError",
    "Signature",
    "Spec",
    "__version__",
    "calibrate",
    "distance",
    "distances",
    "explain",
    "load",
    "matrix",
    "morph",
    "pictures",
    "register_estimand",
    "register_family",
    "save_references",
]


def __getattr__(name: str) -> Any:
    """Fetch a public name from where it lives, on first use (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("conjure")
        except PackageNotFoundError:  # run from a source tree that was never installed
            return "0+unknown"
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
