"""The page of pictures that `check` writes: masks laid over images, to see at a glance whether they were read right.

Which images are shown is chosen in `explore`; the full page of a data set is written in `explore_page`.
"""

from typing import Final

from segcore.data.check import DataReport
from segcore.insight.explore import (
    CaseCounts,
    Example,
    Exploration,
    choose_rare_examples,
    choose_stratum_examples,
)
from segcore.insight.explore_page import gallery
from segcore.insight.page import Markup, Section, build_page, bullets, join, paragraph

_MOST_GROUPS: Final = 12


def render_sheet(report: DataReport, name: str) -> str:
    """Return the HTML page of pictures of a data set.

    Args:
        report: what was counted; it has a usable case.
        name: what the data set is called in the title.
    """
    found = zip(report.cases, report.pixels_NC, strict=True)
    counts = tuple(CaseCounts(case=case, pixels_C=pixels_C[:-1], objects=()) for case, pixels_C in found)
    exploration = Exploration(report=report, cases=counts, ceilings=())
    sections = [
        Section(
            title="Images of each group and condition",
            hint="Do the colours follow the edges of things, and is each colour the class that it should be?",
            content=gallery(exploration, choose_stratum_examples(exploration)),
        ),
        Section(
            title="Images of rare classes",
            hint="The images with the most of each of the rarest classes, rarest first.",
            content=gallery(exploration, choose_rare_examples(exploration)),
        ),
        Section(
            title="Images that look the same",
            hint="Copies, mirrored or of another size or compression; each group is kept in one fold.",
            content=_show_alike(exploration),
        ),
    ]
    return build_page(f"Pictures of {name}", [_lead(report)], sections)


def _lead(report: DataReport) -> Markup:
    findings = report.findings
    warnings = [paragraph(line, "warning") for line in (*report.problems[:_MOST_GROUPS], *findings.warnings)]
    return join([*warnings, bullets([*report.dataset.notes, *findings.notes])])


def _show_alike(exploration: Exploration) -> Markup:
    groups = exploration.report.findings.alike
    if not groups:
        return paragraph("There are none.")
    case_of = {counts.case.name: counts.case for counts in exploration.cases}
    examples = [
        Example(case=case_of[name], reason=f"group {number}")
        for number, group in enumerate(groups[:_MOST_GROUPS], start=1)
        for name in group[:2]
    ]
    return gallery(exploration, examples)
