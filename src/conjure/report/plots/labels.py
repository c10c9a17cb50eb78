"""Labels of points that overlap neither each other nor a point."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_ANGLES = (0, 180, 90, 270, 30, 150, 330, 210, 60, 120, 300, 240)  # degrees; beside comes first
_REACHES = (5.0, 9.0, 15.0, 22.0, 30.0, 40.0, 52.0)  # points of type between point and label
_AIR = 1.0  # points of type around a label


@dataclass(frozen=True)
class Box:
    """A rectangle in points of type, from its lower left corner."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def within(self, other: Box) -> bool:
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.bottom <= self.bottom
            and self.top <= other.top
        )


@dataclass(frozen=True)
class Label:
    """Where a label goes: its middle, and how far it is from its point."""

    x: float
    y: float
    reach: float


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    room: Box,
    radius: float,
) -> list[Label | None]:
    """A place for the label of each point, as near as there is room; None where there is none.

    points: (x, y) of each point, and ``radius`` of its mark; sizes: (width, height) of each label.
    All are in points of type. The labels of crowded points are placed first: they have the fewest
    places to go.
    """
    marks = [Box(x - radius, y - radius, x + radius, y + radius) for x, y in points]
    taken: list[Box] = []
    found: list[Label | None] = [None] * len(points)
    for n in sorted(range(len(points)), key=lambda n: _distance_to_next(points, n)):
        for label, box in _candidates(points[n], sizes[n], radius):
            clear = box.within(room) and not any(map(box.overlaps, [*taken, *marks]))
            if clear:
                found[n] = label
                taken.append(box)
                break
    return found


def _distance_to_next(points: Sequence[tuple[float, float]], n: int) -> float:
    others = (math.dist(points[n], other) for m, other in enumerate(points) if m != n)
    return min(others, default=0.0)


def _candidates(
    point: tuple[float, float], size: tuple[float, float], radius: float
) -> Iterator[tuple[Label, Box]]:
    """Places around a point, near ones first. The box has air around the label."""
    width, height = size
    for reach in _REACHES:
        for angle in _ANGLES:
            across, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            x = point[0] + across * (radius + reach) + _side(across) * width / 2
            y = point[1] + up * (radius + reach) + _side(up) * height / 2
            box = Box(
                x - width / 2 - _AIR,
                y - height / 2 - _AIR,
                x + width / 2 + _AIR,
                y + height / 2 + _AIR,
            )
            yield Label(x, y, reach), box


def _side(part: float) -> float:
    """The side of the point on which a label stands: −1, 0 or 1."""
    return 0.0 if abs(part) < 1e-9 else math.copysign(1.0, part)
