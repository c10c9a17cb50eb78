"""What an explanation holds: frozen records of NumPy arrays and texts.

Every share is a share of one number, ``Distance.value``. A distance is a sum over samples,
directions, steps and latent positions, so the shares of the parts add up to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import display

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..similarity import Distance

Array = NDArray[np.float64]
Picture = NDArray[np.float32]


@dataclass(frozen=True)
class Pictures:
    """What the process shows of one sample, step by step. Entries are in 0 … 1; RGB is last.

    A half is a trajectory: half 0 is that of text1, half 1 that of text2.

    decoded:    whether a decoder (VAE) made them. If not, they are latents in false colour: three
                channels as red, green and blue, all on one scale
    sample:     which sample ``trajectory`` and ``predicted`` are of, from 0
    trajectory: (2 halves, steps + 1, H, W, 3), x_T … x_0; noise first, the picture last
    predicted:  (2 halves, steps, 2 prompts, H, W, 3), x̂₀: the end that the guided prediction at x_j
                points to. Prompt 0 is text1, prompt 1 is text2
    finals:     (samples, 2 halves, H, W, 3), x_0 of every sample
    """

    decoded: bool
    sample: int
    trajectory: Picture
    predicted: Picture
    finals: Picture


@dataclass(frozen=True)
class Words:
    """What the distance becomes if a word is left out or replaced, all from the same noises.

    These are differences of distances. They do not add up to the distance: a word acts through the
    words beside it. Every array has a sample last, so that means and standard errors can be taken.

    words:    the words of text1, and those of text2: what blanks separate
    neutral:  the word that replaces another one
    left_out: for each text (words, samples): the distance without the word, less the distance. NaN
              if nothing is left, or nothing that the process can read
    replaced: for each text (words, samples): the same with ``neutral`` in place of the word. NaN
              if the process cannot read that text
    between:  (words of text1, words of text2, samples), the distance of two words alone. NaN if
              the process cannot read one of them
    rows:     network rows of the whole plan, the two texts included
    notes:    what is NaN and why, in sentences; often empty
    """

    words: tuple[tuple[str, ...], tuple[str, ...]]
    neutral: str
    left_out: tuple[Array, Array]
    replaced: tuple[Array, Array]
    between: Array
    rows: int
    notes: tuple[str, ...] = ()

    @property
    def matrix(self) -> Array:
        """(words of text1, words of text2): ``between``, the mean over samples."""
        mean: Array = self.between.mean(axis=2)
        return mean


@dataclass(frozen=True)
class Explanation:
    """A distance with all its parts.

    The maps hold the estimand's weights, so that ``maps.sum(axis=(1, 3, 4)).mean()``, the sum over
    directions and positions, mean over samples and steps, is ``distance.value``. This holds for
    every estimand that is a sum over steps. For Algorithm 1 the maps are the squared differences
    themselves, since its mean over steps is that of the formula.

    distance: the distance that is explained
    maps:     (samples, 2 directions, steps, h, w) float64, at least 0, in the unit of the estimand.
              Direction 0 (forward) is measured on text1's trajectory, direction 1 (backward) on
              text2's. (h, w) are latent positions; channels are summed. A latent that is a vector
              has h = 1
    pictures: what the process shows; None if it was not asked for, or the process cannot say
    words:    what single words do; None if it was not asked for
    command:  the command line that repeats it
    notes:    what a reader must know, in sentences: a process without a decoder, for instance
    """

    distance: Distance
    maps: Array
    pictures: Pictures | None = None
    words: Words | None = None
    command: str = ""
    notes: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, str]:
        """(text1, text2)."""
        return self.distance.text1, self.distance.text2

    @property
    def profile(self) -> Array:
        """(samples, 2, steps): ``maps`` summed over positions."""
        found: Array = self.maps.sum(axis=(3, 4))
        return found

    @property
    def shares(self) -> Array:
        """(2, steps): the share of each direction and step in the distance; they sum to 1.

        All are 0 if the distance is 0.
        """
        return _shares(self.profile.mean(axis=0))

    @property
    def directions(self) -> Array:
        """(2,): the share of each direction in the distance: forward, backward."""
        found: Array = self.shares.sum(axis=1)
        return found

    @property
    def where(self) -> Array:
        """(2, h, w): the share of each direction and position, mean over samples; they sum to 1."""
        return _shares(self.maps.sum(axis=2).mean(axis=0))

    @property
    def values(self) -> Array:
        """(samples,): the distance of each sample; their mean is ``distance.value``."""
        found: Array = self.profile.sum(axis=1).mean(axis=1)
        return found

    def save(self, path: str | Path) -> None:
        """Write it as one .npz file. Raises InputError where the system refuses."""
        from .files import save

        save(self, Path(path))

    @staticmethod
    def load(path: str | Path) -> Explanation:
        """Read what ``save`` wrote. Raises InputError for any other file."""
        from .files import load

        return load(Path(path))

    def to_pandas(self) -> Any:
        """A DataFrame: a row a sample, direction and step. Raises InputError without pandas.

        Columns: sample, direction ("forward", "backward"), trajectory (the text whose trajectory
        it is), step (from 1), value, share. Values add up to ``samples · steps`` distances, in the
        same unit; shares to 1.
        """
        from .tables import frame

        return frame(self)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw each step's share of the distance: mean and standard error, both directions.

        ax: where to draw; None is a new figure of pyplot. Raises InputError without matplotlib.
        """
        total = self.profile.mean(axis=0).sum()
        scaled = self.profile * (100 / total if total > 0 else 1.0)
        values = [scaled[:, 0], scaled[:, 1]]
        unit = "share of the distance, %"
        return display.draw_profiles(display.axes_of(ax), self.texts, values, unit)

    def _repr_html_(self) -> str:
        distance, (forward, backward) = self.distance, self.directions
        error = "" if distance.standard_error is None else f" ± {distance.standard_error:.2g}"
        facts = {
            "share of each direction": f"{100 * forward:.1f} % and {100 * backward:.1f} %",
            "samples": distance.samples,
            "steps": distance.steps,
        }
        shares = self.shares.sum(axis=0)
        says = f"share of each step; the largest is {100 * shares.max():.1f} %"
        picture = display.bars(shares.tolist(), says)
        if self.pictures is not None:
            ends = np.concatenate(list(self.pictures.finals[self.pictures.sample]), axis=1)
            shown = display.picture_png(ends)
            picture = f"{display.image(shown, 'what the two texts end in')}{picture}"
        headline = f"{distance.estimand} {distance.value:.6g}{error}"
        signature = str(distance.signature)
        return display.card(self.texts, headline, facts, signature, picture=picture)

    def _repr_png_(self) -> bytes | None:
        return display.png(self.plot)


def _shares(values: Array) -> Array:
    total = values.sum()
    found: Array = values / total if total > 0 else np.zeros_like(values)
    return found
