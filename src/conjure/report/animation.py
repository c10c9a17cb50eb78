"""A morph as a film: GIF by Pillow, MP4 by the ffmpeg that imageio-ffmpeg brings along."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import InputError
from ..core.text import first_line
from ..datasets.files import replacing
from ..explanation.morph import Morph
from .plots.explain_style import A, B
from .plots.sheet import GREY, Sheet
from .plots.style import check_matplotlib, house_style

if TYPE_CHECKING:
    from PIL.Image import Image

FILMS = (".gif", ".mp4")
_WIDTH = 2.4  # inches
_DPI = 150  # 360 px wide: a phone
_EDGE = 0.08
_CAPTION = 0.42
_SECONDS = 3.0  # from one end to the other
_HOLD = 0.6  # seconds at each end
_RATE = 24  # frames a second of an MP4


def check_film(path: Path) -> None:
    """Raise InputError where a film of that kind could not be made."""
    check_matplotlib()
    if path.suffix.lower() == ".mp4":
        _ffmpeg()


def write_film(made: Morph, path: Path) -> Path:
    """Write it, there and back again, so that it repeats without a jump."""
    frames = film_frames(made)
    step = _SECONDS / (len(frames) - 1)
    there = [_HOLD, *[step] * (len(frames) - 2)]
    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    seconds = [*there, *there]
    with replacing(path) as draft:
        if path.suffix.lower() == ".gif":
            _write_gif([frames[n] for n in order], seconds, draft)
        else:
            _write_mp4([frames[n] for n in order], seconds, draft, path)
    return path


def film_frames(made: Morph) -> list[NDArray[np.uint8]]:
    """The frames (H, W, 3) with a caption: both texts, and where between them a frame stands."""
    height, width = made.frames.shape[1:3]
    side = _WIDTH - 2 * _EDGE
    tall = side * min(2.0, max(0.25, height / width))
    with house_style():
        return [_frame(made, n, (_EDGE, _EDGE, side, tall)) for n in range(len(made.frames))]


def _frame(made: Morph, n: int, place: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    left, top, width, height = place
    sheet = Sheet(_WIDTH, top + height + _CAPTION, dpi=_DPI)
    sheet.picture(place, made.frames[n], interpolation="bicubic")
    under = top + height
    half = width / 2 - 0.06
    first, second = (sheet.fitted(text, half, 7) for text in made.texts)
    sheet.text(left, under + 0.2, first, 7, color=A)
    sheet.text(left + width, under + 0.2, second, 7, color=B, ha="right")
    bar = under + 0.12
    sheet.line((left, left + width), (bar, bar), color="#D0D0D0", linewidth=1.5)
    here = left + width * float(made.shares[n])
    sheet.line((here, here), (bar, bar), color=GREY, marker="o", markersize=5)
    found: NDArray[np.uint8] = sheet.pixels()
    return found


def _write_gif(frames: Sequence[NDArray[np.uint8]], seconds: Sequence[float], path: Path) -> None:
    from PIL import Image

    # One palette for all frames: with one each, colours would flicker.
    some = np.concatenate([frames[n] for n in range(0, len(frames) // 2 + 1, 4)])
    palette = Image.fromarray(some).quantize(256)
    images: list[Image] = [  # type: ignore[valid-type]
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
    first: Any = images[0]
    first.save(
        path, format="GIF", save_all=True, append_images=images[1:], loop=0, optimize=False,
        duration=[round(1000 * each) for each in seconds],
    )  # fmt: skip


def _write_mp4(
    frames: Sequence[NDArray[np.uint8]], seconds: Sequence[float], draft: Path, path: Path
) -> None:
    """H.264 in yuv420p, which every player takes. Each frame is repeated as long as it stays."""
    from imageio_ffmpeg import write_frames

    _ffmpeg()
    height, width = (side - side % 2 for side in frames[0].shape[:2])  # yuv420p wants even sides
    film = draft.with_name(f"{draft.name}.mp4")  # ffmpeg goes by the ending
    try:
        writer = write_frames(
            str(film), (width, height), fps=_RATE, macro_block_size=2, ffmpeg_log_level="error"
        )
        writer.send(None)
        for frame, stays in zip(frames, seconds, strict=True):
            for _ in range(max(1, round(stays * _RATE))):
                writer.send(np.ascontiguousarray(frame[:height, :width]))
        writer.close()
        film.replace(draft)
    except OSError as error:
        raise InputError(f"ffmpeg could not write {path}: {first_line(error)}") from error
    finally:
        film.unlink(missing_ok=True)


def _ffmpeg() -> str:
    """The program. Raises InputError that says how to get it."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        found: str = get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise InputError(
            "an MP4 needs ffmpeg: pip install 'conjure[video]', or write a .gif"
        ) from error
    return found
