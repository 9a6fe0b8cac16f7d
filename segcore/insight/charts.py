"""Charts as inline SVG: bars, columns and a heat map, from small pure functions.

What is drawn comes from `explore` and `error_analysis`; the HTML around it lives in `page`.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from segcore.data.colours import Colour
from segcore.insight.page import Markup

ACCENT: Final = "#0b5cad"
_FAINT: Final = "#57606a"
_TRACK: Final = "#e7ebef"
_LETTER: Final = 7.0
"""Width of a letter of 12 pixels, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a chart: its label below, its value, and what a pointer over it says."""

    label: str
    value: float
    note: str


def bar(share: float, width: int = 160) -> Markup:
    """Return a horizontal bar.

    Args:
        share: filled part, 0 to 1; what lies outside is cut, NaN leaves it empty.
        width: of the whole bar, pixels.
    """
    filled = min(1.0, max(0.0, share)) * width if share == share else 0.0
    return Markup(
        f'<svg width="{width}" height="12" viewBox="0 0 {width} 12" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{width}" height="12" fill="{_TRACK}"/>'
        f'<rect width="{filled:.1f}" height="12" fill="{ACCENT}"/></svg>'
    )


def column_chart(columns: Sequence[Column], label: str, *, width: int = 340, height: int = 190) -> Markup:
    """Return a chart of columns with their values above and labels below; labels without room are left out.

    Args:
        columns: in the order from left to right, at least one.
        label: what the horizontal axis means.
        width: of the chart, pixels.
        height: of the chart, pixels.
    """
    base, step = height - 36, width / len(columns)
    most = max(1e-12, *(column.value for column in columns))
    longest = max(len(column.label) for column in columns)
    every = max(1, -int(-(longest * _LETTER + 4) // step))
    roomy = max(len(_short(column.value)) for column in columns) * _LETTER <= step
    parts = []
    for place, column in enumerate(columns):
        tall, left = (base - 18) * column.value / most, place * step
        parts.append(
            f'<g><title>{html.escape(column.note)}</title><rect x="{left + step * 0.1:.1f}" y="{base - tall:.1f}" '
            f'width="{step * 0.8:.1f}" height="{tall:.1f}" fill="{ACCENT}"/>'
        )
        if column.value and roomy:
            parts.append(_text(left + step / 2, base - tall - 4, _short(column.value)))
        if place % every == 0:
            parts.append(_text(left + step / 2, base + 14, column.label))
        parts.append("</g>")
    axis = f'<line x1="0" x2="{width}" y1="{base}" y2="{base}" stroke="{_FAINT}"/>'
    return _drawing(width, height, label, [*parts, axis, _text(width / 2, height - 4, label, colour=_FAINT)])


def heat_map(
    rows: Sequence[tuple[Colour, str]],
    columns: Sequence[tuple[Colour, str]],
    shares_RC: Sequence[Sequence[float]],
    label: str,
) -> Markup:
    """Return a table of shares whose cells are the darker the larger they are; numbers are percent.

    Args:
        rows: colour and name of each row.
        columns: colour and name of each column.
        shares_RC: 0 to 1, one list per row; NaN is shown as a dash.
        label: what it shows.
    """
    cell = 34
    left = 26 + _LETTER * max(len(name) for _, name in rows)
    top = 26 + _LETTER * max(len(name) for _, name in columns)
    parts = []
    for place, (colour, name) in enumerate(columns):
        middle = left + (place + 0.5) * cell
        parts.append(_square(middle - 6, top - 16, colour))
        parts.append(_text(0, 0, name, anchor="start", turn=f"translate({middle + 4:.1f},{top - 22:.1f}) rotate(-90)"))
    for place, ((colour, name), shares_C) in enumerate(zip(rows, shares_RC, strict=True)):
        y = top + place * cell
        parts.append(_text(left - 22, y + cell / 2 + 4, name, anchor="end"))
        parts.append(_square(left - 17, y + cell / 2 - 6, colour))
        for position, share in enumerate(shares_C):
            note = f"true {name}, predicted {columns[position][1]}: {share:.1%}" if share == share else f"no {name}"
            parts.append(_heat_cell(left + position * cell, y, cell, share, note))
    return _drawing(round(left + cell * len(columns) + 2), round(top + cell * len(rows) + 2), label, parts)


def _heat_cell(x: float, y: float, side: int, share: float, note: str) -> str:
    known = share == share
    # White to the accent colour; the square root lets small shares be seen.
    depth = share**0.5 if known else 0.0
    colour = tuple(round(255 + (dark - 255) * depth) for dark in (11, 92, 173))
    text = "–" if not known else f"{100 * share:.0f}" if share >= 0.005 else ""
    return (
        f'<g><title>{html.escape(note)}</title><rect x="{x:.1f}" y="{y:.1f}" width="{side - 1}" height="{side - 1}" '
        f'fill="rgb{colour}" stroke="{_TRACK}"/>'
        + _text(x + side / 2, y + side / 2 + 4, text, colour="#fff" if depth > 0.62 else "#1b1f24")
        + "</g>"
    )


def _square(x: float, y: float, colour: Colour) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="12" height="12" fill="rgb{colour}" stroke="{_FAINT}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "middle", colour: str = "#1b1f24", turn: str = "") -> str:
    place = f'transform="{turn}"' if turn else f'x="{x:.1f}" y="{y:.1f}"'
    return f'<text {place} text-anchor="{anchor}" fill="{colour}">{html.escape(text)}</text>'


def _short(value: float) -> str:
    return f"{value:,.0f}" if value < 10_000 else f"{value / 1000:,.0f}k"


def _drawing(width: int, height: int, label: str, parts: Sequence[str]) -> Markup:
    return Markup(
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{html.escape(label, quote=True)}">{"".join(parts)}</svg>'
    )
