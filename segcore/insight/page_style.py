"""How every page looks, how its tables are sorted, and what it may fetch: nothing."""

from typing import Final

STYLE: Final = """
:root { --accent: #0b5cad; --ink: #1b1f24; --faint: #57606a; --line: #d0d7de; --bad: #b3261e; --paper: #fff; }
* { box-sizing: border-box; }
html { color-scheme: light; scroll-behavior: smooth; }
body { margin: 0 auto; max-width: 74rem; padding: 1rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
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
.scroll { overflow-x: auto;
  background: linear-gradient(to left, var(--paper) 40%, transparent) right / 2rem 100% no-repeat local,
  linear-gradient(to left, #57606a40, #57606a00) right / .75rem 100% no-repeat scroll; }
.scroll tr > :first-child { position: sticky; left: 0; background: var(--paper); }
.tall { max-height: 36rem; overflow-y: auto; border-bottom: 1px solid var(--line); }
.tall thead th { position: sticky; top: 0; background: var(--paper); }
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
  .scroll tbody th { min-width: 4rem; max-width: 42vw; white-space: normal; }
  td > svg { width: 5rem; }
}
.option { white-space: nowrap; }
figure { margin: 0; }
figure img { display: block; width: 100%; height: auto; max-height: 40rem; object-fit: contain; object-position: left; }
figcaption { font-size: .875rem; line-height: 1.35; margin-top: .2rem; }
@media print {
  body { max-width: none; font-size: 11pt; padding: 0; }
  nav { display: none; }
  .scroll, .tall { background: none; overflow: visible; max-height: none; }
  figure, tr, svg, .hint, .legend { break-inside: avoid; }
  h2, h3, h2 + .hint, .legend { break-after: avoid; }
}
"""

SCRIPT: Final = """
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

POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
