"""Pages of one file: HTML parts in which every text is escaped, pictures inside, nothing fetched from anywhere.

Charts are drawn in `charts`; what the pages say lives in `explore_page` and `error_report`.
"""

import base64
import html
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from segcore.data.classes import ClassTable
from segcore.data.colours import Colour
from segcore.data.picture_files import encode_jpeg
from segcore.errors import StorageError

Pixels = npt.NDArray[np.uint8]

_STYLE: Final = """
:root { --accent: #0b5cad; --ink: #1b1f24; --faint: #57606a; --line: #d0d7de; --bad: #b3261e; }
* { box-sizing: border-box; }
html { color-scheme: light; scroll-behavior: smooth; }
body { margin: 0 auto; max-width: 74rem; padding: 1rem 1.25rem 4rem; background: #fff; color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums;
  overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0 .25rem; }
h2 { font-size: 1.25rem; margin: 0 0 .25rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
p { margin: .25rem 0 .75rem; max-width: 50rem; }
section { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 1.25rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 1rem 0 0; }
a { color: var(--accent); }
.hint, figcaption, .faint { color: var(--faint); }
.warning { border-left: .3rem solid var(--bad); color: var(--bad); font-weight: 600; padding: .25rem .75rem; }
.figures { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; margin: .5rem 0 1rem; }
.figures div span { display: block; color: var(--faint); }
.figures div b { display: block; font-size: 1.7rem; line-height: 1.2; }
.legend { display: flex; flex-wrap: wrap; gap: .15rem 1rem; margin: .5rem 0 1rem; }
.scroll { overflow-x: auto; background: linear-gradient(to left, #fff 40%, #fff0) right / 2rem 100% no-repeat local,
  linear-gradient(to left, #57606a40, #57606a00) right / .75rem 100% no-repeat scroll; }
.scroll tr > :first-child { position: sticky; left: 0; background: #fff; }
.tall { max-height: 36rem; overflow-y: auto; border-bottom: 1px solid var(--line); }
.tall thead th { position: sticky; top: 0; background: #fff; }
.tall thead th:first-child { z-index: 1; }
table { border-collapse: collapse; margin: .5rem 0 1rem; font-size: .9375rem; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .75rem .25rem 0; text-align: left; white-space: nowrap; }
thead th { vertical-align: bottom; color: var(--faint); font-weight: 600; }
tbody th { font-weight: 400; }
.number { text-align: right; }
.marked { color: var(--bad); font-weight: 700; }
th button { all: unset; cursor: pointer; color: var(--accent); text-decoration: underline; }
th button:focus-visible { outline: 2px solid var(--accent); }
th[aria-sort=ascending] button::after { content: " \\25B2"; }
th[aria-sort=descending] button::after { content: " \\25BC"; }
svg { vertical-align: middle; font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
.charts { display: flex; flex-wrap: wrap; gap: 1rem 2rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15.5rem), 1fr)); gap: .75rem; }
.pictures.large { grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
@media (max-width: 40rem) {
  body { padding: 0 .75rem 3rem; }
  .scroll tbody th { max-width: 42vw; overflow: hidden; text-overflow: ellipsis; }
  td > svg { width: 5rem; }
}
figure { margin: 0; }
figure img { display: block; width: 100%; height: auto; }
figcaption { font-size: .875rem; line-height: 1.35; margin-top: .2rem; }
@media print {
  body { max-width: none; font-size: 11pt; padding: 0; }
  nav { display: none; }
  .scroll, .tall { background: none; overflow: visible; max-height: none; }
  figure, tr, svg, .pictures { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
"""

_SCRIPT: Final = """
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.closest("th"), table = button.closest("table"), body = table.tBodies[0];
  const column = [...head.parentNode.children].indexOf(head);
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = row => row.children[column].dataset.sort ?? row.children[column].textContent;
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    return (down ? -1 : 1) * (isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y);
  };
  body.append(...[...body.rows].sort(compare));
});
"""

_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


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
    return element("p", text, css)


def bullets(lines: Iterable[str]) -> Markup:
    """Return a list of lines."""
    return element("ul", join(element("li", line) for line in lines))


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
    """Return a class by its colour and its name; a scored class is marked with a star, what is no class is black."""
    colours = dict(zip(table.names, table.colours, strict=True))
    return join([chip(colours.get(name, (0, 0, 0))), f" {name}{' *' if name in table.scored else ''}"])


def class_legend(table: ClassTable) -> Markup:
    """Return the classes' colours and names; scored classes are marked with a star."""
    names = (f"{name} *" if name in table.scored else name for name in table.names)
    return legend([*zip(table.colours, names, strict=True), ((0, 0, 0), "void or background")])


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
        tall: whether it scrolls within a limited height.
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
    return element("div", element("table", inner), "scroll tall" if tall else "scroll")


def picture(content: bytes, kind: str, caption: str) -> Markup:
    """Return a picture file as a figure.

    Args:
        content: the file.
        kind: `jpeg` or `png`.
        caption: what it shows, a text below.
    """
    data = base64.b64encode(content).decode("ascii")
    alternative = html.escape(caption, quote=True)
    image = Markup(f'<img loading="lazy" alt="{alternative}" src="data:image/{kind};base64,{data}">')
    return element("figure", join([image, element("figcaption", caption)]))


def photo(image_HW3: Pixels, caption: str, width: int) -> Markup:
    """Return an RGB image as a JPEG figure, at most `width` pixels wide."""
    return picture(encode_jpeg(shrink(image_HW3, width), quality=80), "jpeg", caption)


def mask_picture(mask_HW: Pixels, table: ClassTable, caption: str, width: int) -> Markup:
    """Return class indices as a PNG figure in the classes' colours, at most `width` pixels wide."""
    image = Image.fromarray(shrink_mask(mask_HW, width), mode="P")
    image.putpalette(table.palette_N3.tobytes())
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return picture(stream.getvalue(), "png", caption)


def shrink(image_HW3: Pixels, width: int) -> Pixels:
    """Return an RGB image at most `width` pixels wide."""
    return _resize(image_HW3, width, cv2.INTER_AREA)


def shrink_mask(mask_HW: Pixels, width: int) -> Pixels:
    """Return class indices at most `width` pixels wide, without mixing them."""
    return _resize(mask_HW, width, cv2.INTER_NEAREST)


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
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n"
        f"<body>\n{body}\n<script>{_SCRIPT}{script}</script>\n</body>\n</html>\n"
    )


def require_writable(file: Path) -> None:
    """Make the folder of a page that is written later.

    Raises:
        StorageError: when the folder cannot be made, or the file is a folder.
    """
    if file.is_dir():
        raise StorageError(f"{file} is a folder; give the name of a file, such as {file / 'page.html'}.")
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
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(page, encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
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


def _resize(pixels: Pixels, width: int, interpolation: int) -> Pixels:
    if pixels.shape[1] <= width:
        return pixels
    height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
    resized: Pixels = cv2.resize(pixels, (width, height), interpolation=interpolation)
    return resized
