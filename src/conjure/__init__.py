"""Two texts mean the same to the degree that they conjure the same images.

Importing this loads nothing heavy: torch, diffusers and transformers come with the first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .approximation import Approximation
    from .core.errors import ConjureError, InputError, NonFiniteError
    from .processes import load
    from .similarity import Distance, distance, distances

    __version__: str

_HOMES = {
    "Approximation": "approximation",
    "ConjureError": "core.errors",
    "Distance": "similarity",
    "InputError": "core.errors",
    "NonFiniteError": "core.errors",
    "distance": "similarity",
    "distances": "similarity",
    "load": "processes",
}

__all__ = [
    "Approximation",
    "ConjureError",
    "Distance",
    "InputError",
    "NonFiniteError",
    "__version__",
    "distance",
    "distances",
    "load",
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
