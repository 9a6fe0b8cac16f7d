"""What charts of a report look like and what they do under a pointer; of the page itself see `segcore.insight.page`."""

from typing import Final

from search.memory.history import TrialRecord
from search.memory.outcome import FAILURES, Outcome

_WINNER: Final = "win"
_OF_END: Final = {
    Outcome.FINISHED: "end",
    Outcome.STOPPED: "wait",
    Outcome.OVER_LIMIT: "lost",
    Outcome.PRUNED: "lost",
    None: "run",
}

MEANINGS: Final = (
    (_WINNER, "the winner"),
    ("end", "ran to its end"),
    ("wait", "stopped by ASHA, waits"),
    ("run", "runs, or is to go on"),
    ("lost", "failed, diverged, over a limit or pruned"),
)

STYLE: Final = """
:root { --win: #d9480f; --end: #0b5cad; --wait: #9aa4af; --run: #2b8a3e; --lost: #b3261e; --grid: #e7ebef;
  --lit: #000; --code: #f6f8fa; --q0: #d9dfe6; --q1: #b9c9da; --q2: #8fb0d3; --q3: #4f88c2; --q4: #0b5cad; }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --paper: #14181d; --accent: #6cb0f5; --ink: #e3e7ec; --faint: #9aa4af; --line: #39424c;
    --bad: #ff8a80; --win: #ff8a4c; --end: #5aa5f0; --wait: #74808c; --run: #57bd6c; --lost: #ff7b72; --grid: #2a3139;
    --lit: #fff; --code: #1d232a; --q0: #39424c; --q1: #3c5468; --q2: #3f6f9f; --q3: #4a8cca; --q4: #7cbcf8; }
  td > svg rect:first-child { fill: var(--grid); } td > svg rect:last-child { fill: var(--end); }
}
.chart { display: block; width: 100%; height: auto; font-size: 12px; overflow: visible; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); gap: 1rem 2rem; }
.cards.small { grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.cards h3 { margin-top: .5rem; }
.cards > div { max-width: 36rem; min-width: 0; }
.cards thead th, .verdict th, .verdict td:last-child { white-space: normal; }
.verdict td:last-child { min-width: 15rem; }
.wide .chart { min-width: 52rem; }
.chart text { fill: var(--ink); } .chart .faint { fill: var(--faint); }
.grid { stroke: var(--grid); } .axis { stroke: var(--faint); } .rung { stroke: var(--faint); stroke-dasharray: 3 3; }
polyline { fill: none; stroke-width: 1.2; } circle { stroke-width: 1.2; }
polyline.win { stroke: var(--win); stroke-width: 2.6; } polyline.end { stroke: var(--end); stroke-opacity: .7; }
polyline.wait { stroke: var(--wait); stroke-opacity: .45; } polyline.run { stroke: var(--run); }
polyline.q0 { stroke: var(--q0); } polyline.q1 { stroke: var(--q1); } polyline.q2 { stroke: var(--q2); }
polyline.q3 { stroke: var(--q3); } polyline.q4 { stroke: var(--q4); } .many polyline { stroke-opacity: .4; }
.many polyline.win { stroke-opacity: 1; }
rect.q0 { fill: var(--q0); } rect.q2 { fill: var(--q2); } rect.q4 { fill: var(--q4); }
.chart text.on { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
polyline.one { stroke: var(--end); stroke-opacity: .35; } polyline.two { stroke: var(--win); stroke-opacity: .35; }
polyline.course { stroke-width: 2.6; stroke-opacity: 1; } rect.one, circle.one { fill: var(--end); }
rect.two, circle.two { fill: var(--win); }
polyline.lost { stroke: var(--lost); stroke-opacity: .6; } polyline.front { stroke: var(--ink); stroke-width: 1.5; }
circle.win { fill: var(--win); stroke: var(--paper); } circle.end { fill: var(--end); fill-opacity: .75; }
circle.wait { fill: var(--paper); stroke: var(--wait); } circle.run { fill: var(--run); }
circle.lost { fill: var(--lost); }
circle.mean { fill: var(--ink); } circle.hollow { fill: var(--paper); stroke: var(--ink); }
rect.win { fill: var(--win); } rect.end { fill: var(--end); } rect.wait { fill: var(--wait); }
rect.run { fill: var(--run); } rect.lost { fill: var(--lost); } rect.again { fill: #7fb0de; }
rect.bar { fill: #7fb0de; } rect.chance { fill: var(--wait); fill-opacity: .3; }
rect.brush { fill: var(--end); fill-opacity: .2; stroke: var(--end); }
.whisker { stroke: var(--ink); stroke-width: 1.5; } polyline.whisker { stroke-width: 1.5; }
.lit { stroke: var(--lit) !important; stroke-width: 2.6 !important; stroke-opacity: 1 !important; }
.out { opacity: .06; pointer-events: none; } tr.out { display: none; }
[data-t] { cursor: pointer; } .axis-hit { fill: transparent; cursor: ns-resize; touch-action: none; }
#tip { position: fixed; z-index: 9; max-width: 24rem; padding: .35rem .6rem; background: var(--ink);
  color: var(--paper); font-size: .875rem; line-height: 1.35; pointer-events: none; border-radius: .25rem;
  white-space: pre-line; }
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 1.5rem 2rem; }
.answer { border-left: .25rem solid var(--accent); padding: 0 0 0 1rem; min-width: 0; }
.answer.one { border-color: var(--end); } .answer.two { border-color: var(--win); }
.answer h3 { margin: 0; } .answer p { margin: .15rem 0; max-width: none; }
.key { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin: .25rem 0 .75rem; font-size: .9375rem; }
.key svg { width: 14px; height: 12px; }
pre { background: var(--code); padding: .5rem .75rem; margin: .35rem 0; font-size: .875rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
pre span { display: inline-block; max-width: 100%; }
@media print {
  .wide .chart { min-width: 0; } #tip { display: none; }
  .cards, .answers { grid-template-columns: 1fr 1fr; } .chart, .answer, .key, pre { break-inside: avoid; }
  .key { break-after: avoid; } pre { font-size: 8pt; }
  .tall tbody tr:nth-child(n+41) { display: none; }
  table { font-size: 8pt; } th, td, .verdict td:last-child { white-space: normal; min-width: 0; padding-right: .4rem; }
}
"""

SCRIPT: Final = """
(() => {
  const told = JSON.parse(document.getElementById("told").textContent);
  const marks = new Map();
  for (const mark of document.querySelectorAll("[data-t]")) {
    const known = marks.get(mark.dataset.t);
    if (known) known.push(mark); else marks.set(mark.dataset.t, [mark]);
  }
  const tip = document.createElement("div");
  tip.id = "tip"; tip.hidden = true; document.body.append(tip);
  let lit = null, kept = null;
  const light = trial => {
    if (trial === lit) return;
    for (const mark of marks.get(lit) ?? []) mark.classList.remove("lit");
    lit = trial;
    for (const mark of marks.get(lit) ?? []) {
      mark.classList.add("lit");
      if (mark.tagName === "polyline") mark.parentNode.append(mark);
    }
  };
  const trialAt = event => event.target.closest?.("[data-t]")?.dataset.t ?? null;
  document.addEventListener("pointermove", event => {
    const trial = trialAt(event);
    light(trial ?? kept);
    tip.hidden = trial === null || !told[trial];
    if (tip.hidden) return;
    tip.textContent = told[trial];
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 4)) + "px";
    const below = event.clientY + 16;
    tip.style.top = (below + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : below) + "px";
  });
  document.addEventListener("click", event => { kept = trialAt(event); light(kept); });

  const brushes = new Map();
  const sentence = document.getElementById("chosen");
  const filter = () => {
    const lines = [...document.querySelectorAll("#parallel polyline[data-t]")], chosen = new Set();
    for (const line of lines) {
      const points = line.getAttribute("points").split(" ").map(each => +each.split(",")[1]);
      if ([...brushes].every(([axis, [low, high]]) => points[axis] >= low && points[axis] <= high))
        chosen.add(line.dataset.t);
    }
    // A trial without a score has no line, so nothing chooses it.
    for (const [trial, alike] of marks)
      for (const mark of alike) mark.classList.toggle("out", brushes.size > 0 && !chosen.has(trial));
    const said = `${chosen.size} of ${lines.length} trials are chosen, in every chart and table`;
    if (sentence) sentence.textContent = brushes.size ? `${said}; click on an axis to let it go.` : "";
  };
  for (const hit of document.querySelectorAll("#parallel .axis-hit")) {
    const svg = hit.ownerSVGElement, brush = hit.nextElementSibling, axis = +hit.dataset.axis;
    let from = null;
    const at = event => new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()).y;
    hit.addEventListener("pointerdown", event => { from = at(event); hit.setPointerCapture(event.pointerId); });
    hit.addEventListener("pointermove", event => {
      if (from === null) return;
      const ends = [from, at(event)].sort((a, b) => a - b);
      brush.setAttribute("y", ends[0]); brush.setAttribute("height", ends[1] - ends[0]);
    });
    hit.addEventListener("pointerup", event => {
      const ends = [from, at(event)].sort((a, b) => a - b);
      from = null;
      const isClick = ends[1] - ends[0] < 4;
      if (isClick) { brushes.delete(axis); brush.setAttribute("height", 0); } else brushes.set(axis, ends);
      filter();
    });
  }
})();
"""


def css_of(trial: TrialRecord, winner: int | None) -> str:
    """Return the class of a trial's marks: by how it ended, and the winner's own."""
    if trial.number == winner:
        return _WINNER
    return "lost" if trial.outcome in FAILURES else _OF_END[trial.outcome]
