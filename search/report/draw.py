"""Charts with two axes as inline SVG, made of small marks that know which trial they are of.

Bars, heat maps and HTML parts are in `segcore.insight`; axes in `axes`; what charts look like, in `look`.
"""

import html
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, pairwise
from typing import Final
from unicodedata import east_asian_width

from search.report.axes import Axis
from segcore.insight.page import Markup

_WIDTH: Final = 460
"""Units of a chart that stands beside another; on a page it is as wide as there is room for."""
WIDE: Final = 980
"""Units of one that takes the whole page."""
_LETTER: Final = 6.6
"""Width of a letter, about."""
_MOST_LEFT: Final = 0.55
"""Share of a chart's width that what is written beside its vertical axis may take; it holds 37 letters."""
_RIGHT: Final = 12.0
_TOP: Final = 10.0
Point = tuple[float, float]
"""A value on each axis."""


class Plot:
    """A chart that is being drawn: axes first, then marks, in the order in which they cover each other.

    Args:
        x: the horizontal axis.
        y: the vertical axis.
        width: of the chart, units.
        height: of the chart, units.
    """

    def __init__(self, x: Axis, y: Axis, *, width: int = _WIDTH, height: int = 290) -> None:
        self._x, self._y, self._width, self._height = x, y, width, height
        longest = max((count_columns(text) for _, text in y.ticks()), default=0)
        self._left = min(_MOST_LEFT * width, _LETTER * longest + 24)
        self._bottom = height - 40.0
        self._parts: list[str] = []
        self._draw_axes()

    def place(self, point: Point) -> Point:
        """Return where a point lies, in units from the top left."""
        x, y = point
        across = self._left + self._x.place(x) * (self._width - _RIGHT - self._left)
        return across, self._bottom - self._y.place(y) * (self._bottom - _TOP)

    def line(self, points: Sequence[Point], css: str, *, trial: int | None = None, steps: bool = False) -> None:
        """Draw a line.

        Args:
            points: from left to right.
            css: class names, see `look`.
            trial: that it is of, or None.
            steps: whether it goes on level to the next point, and only there up or down.
        """
        places = [self.place(point) for point in points]
        if steps:
            corners = [[before, (after[0], before[1])] for before, after in pairwise(places)]
            places = [*chain.from_iterable(corners), places[-1]]
        self._parts.append(f'<polyline{of_trial(trial)} class="{css}" points="{join_points(places)}"/>')

    def dot(self, point: Point, css: str, *, trial: int | None = None, radius: float = 3.5, note: str = "") -> None:
        """Draw a dot; a pointer over it says the note, or what its trial is."""
        x, y = self.place(point)
        told = f"<title>{html.escape(note)}</title>" if note else ""
        self._parts.append(
            f'<circle{of_trial(trial)} class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}">{told}</circle>'
        )

    def box(self, low: Point, high: Point, css: str, *, trial: int | None = None, note: str = "") -> None:
        """Draw a rectangle between two corners."""
        (x0, y1), (x1, y0) = self.place(low), self.place(high)
        told = f"<title>{html.escape(note)}</title>" if note else ""
        self._parts.append(
            f'<rect{of_trial(trial)} class="{css}" x="{x0:.1f}" y="{y0:.1f}" '
            f'width="{max(0.5, x1 - x0):.1f}" height="{max(0.5, y1 - y0):.1f}">{told}</rect>'
        )

    def text(self, point: Point, text: str, *, anchor: str = "middle", css: str = "", up: float = 0.0) -> None:
        """Write a text at a point, so many units above it."""
        x, y = self.place(point)
        self._parts.append(write_text(x, y - up, text, anchor=anchor, css=css))

    def render(self, label: str) -> Markup:
        """Return the chart.

        Args:
            label: what it shows, for those who cannot see it.
        """
        return drawing(self._width, self._height, label, self._parts)

    def _draw_axes(self) -> None:
        right = self._width - _RIGHT
        for value, text in self._y.ticks():
            y = self.place((self._x.low, value))[1]
            self._parts.append(f'<line class="grid" x1="{self._left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
            shown = shorten(text, self._left - 8) if self._y.names else text
            note = text if shown != text else ""
            self._parts.append(write_text(self._left - 5, y + 4, shown, anchor="end", note=note))
        room = (right - self._left) / max(1, len(self._x.ticks()))
        for value, text in self._x.ticks():
            x = self.place((value, self._y.low))[0]
            self._parts.append(
                f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{self._bottom}" y2="{self._bottom + 4}"/>'
            )
            shown = shorten(text, room) if self._x.names else text
            self._parts.append(write_text(x, self._bottom + 16, shown, note=text if shown != text else ""))
        middle = (self._bottom + _TOP) / 2
        self._parts += [
            f'<line class="axis" x1="{self._left:.1f}" x2="{right:.1f}" y1="{self._bottom}" y2="{self._bottom}"/>',
            write_text((self._left + right) / 2, self._height - 5, self._x.label, css="faint"),
            f'<text class="faint" text-anchor="middle" transform="translate(11,{middle:.1f}) rotate(-90)">'
            f"{html.escape(self._y.label)}</text>",
        ]


def drawing(width: float, height: float, label: str, parts: Iterable[str]) -> Markup:
    """Return an SVG picture that is as wide as its place; `label` says what it shows."""
    return Markup(
        f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{html.escape(label, quote=True)}">{"".join(parts)}</svg>'
    )


def write_text(x: float, y: float, text: str, *, anchor: str = "middle", css: str = "", note: str = "") -> str:
    """Return a text; a pointer over it says the note."""
    of_class = f' class="{css}"' if css else ""
    told = f"<title>{html.escape(note)}</title>" if note else ""
    return f'<text{of_class} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}{told}</text>'


def shorten(text: str, room: float) -> str:
    """Return a text cut to so many units."""
    letters = max(3, int(room / _LETTER))
    if count_columns(text) <= letters:
        return text
    ends = accumulate(map(count_columns, text))
    return f"{text[: sum(end < letters for end in ends)]}…"


def count_columns(text: str) -> int:
    """Return how many letters of the usual width a text is as wide as: of Chinese and Japanese ones each is two."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def of_trial(trial: int | None) -> str:
    """Return the attribute that says which trial a mark is of."""
    return "" if trial is None else f' data-t="{trial}"'


def join_points(places: Iterable[Point]) -> str:
    """Return places as SVG has them."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
