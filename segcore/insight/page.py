"""Pages of one file: HTML parts in which every text is escaped, pictures inside, nothing fetched from anywhere.

Pictures are made in `page_pictures`, charts in `charts`; what the pages say lives in `explore_page` and `error_report`.
"""

import html
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from segcore.data.classes import ClassTable
from segcore.data.colours import Colour
from segcore.data.picture_files import require_replaceable
from segcore.errors import StorageError
from segcore.insight.page_style import POLICY, SCRIPT, STYLE
from segcore.replacing import replacing

_OPTION: Final = re.compile(r"(?<![\w-])(--[a-z][a-z-]*)")
_MOST_ROWS: Final = 40
"""Of a table that is shown whole."""


class Markup(str):
    """Text that is HTML already; any other text is escaped where it meets a page."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell of a table.

    Args:
        text: what is shown.
        number: what it is sorted by; a cell with one is aligned to the right.
        marked: whether it stands out.
    """

    text: str
    number: float | None = None
    marked: bool = False


Row = Sequence[Cell | str]
"""Cells of a table, from left to right; a text is a cell without number."""


def number_cell(number: float | None, form: str = "") -> Cell:
    """Return a cell of a number, which it is sorted by; a dash where it is not known.

    Args:
        number: None or NaN where it is not known.
        form: how it is written, as of `format`.
    """
    if number is None or math.isnan(number):
        return Cell(text="–", number=math.nan)
    return Cell(text=format(number, form), number=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a page.

    Args:
        title: its heading.
        hint: one sentence that says what to look for.
        content: what follows.
    """

    title: str
    hint: str
    content: Markup


def escape(text: str) -> Markup:
    """Return a text as HTML; markup stays as it is."""
    return text if isinstance(text, Markup) else Markup(html.escape(text))


def join(parts: Iterable[str]) -> Markup:
    """Return parts one after the other, each escaped unless it is markup."""
    return Markup("\n".join(escape(part) for part in parts))


def element(tag: str, content: str, css: str = "") -> Markup:
    """Return `<tag class="css">content</tag>`.

    Args:
        tag: name of the element.
        content: escaped unless it is markup.
        css: class names; empty for none.
    """
    attribute = f' class="{html.escape(css)}"' if css else ""
    return Markup(f"<{tag}{attribute}>{escape(content)}</{tag}>")


def paragraph(text: str, css: str = "") -> Markup:
    """Return a paragraph; `css="warning"` shows it in red."""
    return element("p", _keep_options(text), css)


def bullets(lines: Iterable[str]) -> Markup:
    """Return a list of lines."""
    return element("ul", join(element("li", _keep_options(line)) for line in lines))


def _keep_options(text: str) -> Markup:
    """Return a text as HTML in which no line breaks within an option: a browser breaks --force after its hyphens."""
    if isinstance(text, Markup):
        return text
    parts = _OPTION.split(text)
    return Markup(
        "".join(element("span", part, "option") if place % 2 else escape(part) for place, part in enumerate(parts))
    )


def headline(figures: Sequence[tuple[str, str]]) -> Markup:
    """Return large figures, each (what it is, value)."""
    parts = (element("div", join([element("span", name), element("b", value)])) for name, value in figures)
    return element("div", join(parts), "figures")


def chip(colour: Colour) -> Markup:
    """Return a small square of a colour; drawn, so that it is printed too."""
    shape = f'<rect width="12" height="12" fill="rgb{colour}" stroke="#57606a" stroke-width="1"/>'
    return Markup(f'<svg width="12" height="12" aria-hidden="true">{shape}</svg>')


def legend(entries: Sequence[tuple[Colour, str]]) -> Markup:
    """Return colours with their meanings."""
    return element("div", join(element("span", join([chip(colour), name])) for colour, name in entries), "legend")


def link(address: str, text: str) -> Markup:
    """Return a text that leads to an address; to one that is not of the web, the text alone."""
    if not address.startswith(("http://", "https://")):
        return escape(text)
    return Markup(f'<a href="{html.escape(address, quote=True)}">{escape(text)}</a>')


def name_class(table: ClassTable, name: str) -> Markup:
    """Return a class by its colour and its name; scored with a star, what is no class with the colour of void."""
    colours = dict(zip(table.names, table.colours, strict=True))
    return join([chip(colours.get(name, table.background_colour)), f" {name}{' *' if name in table.scored else ''}"])


def class_legend(table: ClassTable) -> Markup:
    """Return the classes' colours and names; scored classes are marked with a star."""
    names = (f"{name} *" if name in table.scored else name for name in table.names)
    return legend([*zip(table.colours, names, strict=True), (table.background_colour, "void or background")])


def data_table(
    header: Sequence[str],
    rows: Iterable[Row],
    *,
    sortable: bool = False,
    tall: bool = False,
    marks: Sequence[int] = (),
) -> Markup:
    """Return a table whose first column names the rows; wider than its page, it scrolls by itself.

    Args:
        header: names of the columns; a column is aligned as its cell in the first row.
        rows: as many cells each as there are names.
        sortable: whether a click on a column's name sorts by it.
        tall: whether it scrolls within a limited height, as one of very many rows does anyway.
        marks: a number for each row, by which scripts find it as `data-t`; empty for none.
    """
    cells = [[Cell(text=cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    right = [cell.number is not None for cell in cells[0]] if cells else [False] * len(header)
    names = (Markup(f"<button>{escape(name)}</button>") if sortable else name for name in header)
    number = ' class="number"'
    heads = (
        Markup(f'<th scope="col"{number if aligned else ""}>{escape(name)}</th>')
        for name, aligned in zip(names, right, strict=True)
    )
    starts = [f'<tr data-t="{mark}">' for mark in marks] or ["<tr>"] * len(cells)
    body = (
        Markup(start + join(_cell(cell, first=i == 0) for i, cell in enumerate(row)) + "</tr>")
        for start, row in zip(starts, cells, strict=True)
    )
    inner = join([element("thead", element("tr", join(heads))), element("tbody", join(body))])
    return element("div", element("table", inner), "scroll tall" if tall or len(cells) > _MOST_ROWS else "scroll")


def build_page(
    title: str, lead: Sequence[str], sections: Sequence[Section], *, style: str = "", script: str = ""
) -> str:
    """Return a whole HTML document.

    Args:
        title: heading of the page.
        lead: what stands before the first section.
        sections: the parts, in order; links to them stand at the top.
        style: CSS beside that of every page.
        script: what the page does beside sorting its tables.
    """
    links = (Markup(f'<a href="#part{i}">{escape(part.title)}</a>') for i, part in enumerate(sections))
    parts = (
        Markup(f'<section id="part{i}">')
        + join([element("h2", part.title), paragraph(part.hint, "hint"), part.content])
        + Markup("</section>")
        for i, part in enumerate(sections)
    )
    body = join([element("h1", title), *lead, element("nav", join(links)), *map(Markup, parts)])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n"
        f"<body>\n{body}\n<script>{SCRIPT}{script}</script>\n</body>\n</html>\n"
    )


def require_writable(file: Path) -> None:
    """Make the folder of a page that is written later.

    Raises:
        StorageError: when the folder cannot be made, or the file is a folder, no regular file, or called otherwise.
    """
    if file.is_dir():
        raise StorageError(f"{file} is a folder; give the name of a file, such as {file / 'page.html'}.")
    require_replaceable(file)
    if file.suffix.lower() not in (".html", ".htm"):
        raise StorageError(f"{file}: a page is HTML, and no browser opens it by this name; call it {file.stem}.html.")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{file.parent} cannot be made ({error.strerror or error}); choose another place."
        ) from error


def write_page(page: str, file: Path) -> None:
    """Write a page; it appears only when it is complete, and its folder is made when it is missing.

    Raises:
        StorageError: when the file cannot be written.
    """
    require_writable(file)
    try:
        with replacing(file) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{file} cannot be written ({error.strerror or error}); choose another place or make room."
        ) from error


def _cell(cell: Cell, *, first: bool) -> Markup:
    css = " ".join(["number"] * (cell.number is not None) + ["marked"] * cell.marked)
    # NaN would break the order of everything else.
    known = cell.number is not None and cell.number == cell.number
    sort = f' data-sort="{cell.number!r}"' if known else ' data-sort=""' if cell.number is not None else ""
    tag, scope = ("th", ' scope="row"') if first else ("td", "")
    attribute = f' class="{css}"' if css else ""
    return Markup(f"<{tag}{scope}{attribute}{sort}>{escape(cell.text)}</{tag}>")
