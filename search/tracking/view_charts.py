"""The charts, sections and states of MLflow's prepared views, as its page keeps them.

What each view shows is in `views`.

MLflow documents none of this. Fields that it does not know it leaves aside, and what is left out it fills, so another
version shows less, or the page as it always is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_MOST_RUNS: Final = 1000
"""Of a chart; MLflow's own default is ten, in the order of the table."""
_OTHERS: Final = ("class", "condition", "Model metrics", "System metrics")
"""Sections that MLflow would open by itself for whatever a view does not chart."""

Chart = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Charts under one title.

    Args:
        name: the title.
        charts: in order.
        columns: charts beside each other; of three MLflow cuts the titles.
        height: of a chart, pixels.
    """

    name: str
    charts: Sequence[Chart]
    columns: int = 2
    height: int = 360


def line(metric: str) -> Chart:
    """Return a chart of a metric by epoch."""
    return {
        "type": "LINE",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "xAxisKey": "step",
        "lineSmoothness": 0,
        "scaleType": "linear",
        "range": {"xMin": None, "xMax": None, "yMin": None, "yMax": None},
        "displayPoints": True,
    }


def bar(metric: str) -> Chart:
    """Return a chart of a metric's last value by run."""
    return {"type": "BAR", "metricKey": metric, "selectedMetricKeys": [metric]}


def scatter(x: str, y: str) -> Chart:
    """Return a chart of one metric against another, a point for each run."""
    axes = {"xaxis": {"key": x, "type": "METRIC"}, "yaxis": {"key": y, "type": "METRIC"}}
    return {"type": "SCATTER", **axes}


def parallel(params: Sequence[str], metrics: Sequence[str]) -> Chart:
    """Return parallel coordinates; runs that lack one of the parameters are not drawn, as MLflow has it."""
    return {"type": "PARALLEL", "selectedParams": [*params], "selectedMetrics": [*metrics], "showAllRuns": True}


def pictures(keys: Sequence[str], step: int) -> Chart:
    """Return a grid of pictures, a column for each run.

    Args:
        keys: of the pictures.
        step: epoch that is shown first.
    """
    return {"type": "IMAGE", "imageKeys": [*keys], "step": step, "showRunParams": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Which runs a view shows, and how.

    Args:
        query: which, as MLflow's search takes it.
        order: column to sort by, the highest first.
        columns: of the table, such as ``metrics.`iou` ``.
        group_by: parameter whose runs are one, by their mean; None: each is itself.
        first_alone: whether charts show the first twenty runs, until a person shows more; else all that are loaded.
    """

    query: str
    order: str
    columns: Sequence[str]
    group_by: str | None = None
    first_alone: bool = False


_PLAIN_STATE: Final[Mapping[str, Any]] = {
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "datasetsFilter": [],
    "modelVersionFilter": "All Runs",
    "runsPinned": [],
    "runsHidden": [],
    "runsVisibilityMap": {},
    "runsExpanded": {},
    "groupsExpanded": {},
    "useGroupedValuesInCharts": True,
    "viewMaximized": False,
    "runListHidden": False,
    "isAccordionReordered": True,
    "hideEmptyCharts": True,
    "autoRefreshEnabled": True,
}
"""What every view has: sections in the given order, charts without values left out."""


def build_state(slug: str, sections: Sequence[Section], table: Table) -> dict[str, Any]:
    """Return the state of the page of an experiment's runs.

    Args:
        slug: of the view; what is in it is named by it.
        sections: of charts, in order.
        table: of the runs.
    """
    shown = [(f"{slug}-{number}", section) for number, section in enumerate(sections)]
    own = [
        {**_section(uuid, section.name, display=True), "columns": section.columns, "cardHeight": section.height}
        for uuid, section in shown
    ]
    others = [_section(f"{slug}-{name}", name, display=False) for name in _OTHERS]
    group = {"aggregateFunction": "average", "groupByKeys": [{"mode": "param", "groupByData": table.group_by}]}
    return {
        **_PLAIN_STATE,
        "searchFilter": table.query,
        "orderByKey": table.order,
        "selectedColumns": [*table.columns],
        "groupBy": group if table.group_by else None,
        "runsHiddenMode": "FIRST_20_RUNS" if table.first_alone else "SHOWALL",
        "compareRunSections": [*own, *others],
        "compareRunCharts": [
            _place(chart, uuid, place) for uuid, section in shown for place, chart in enumerate(section.charts)
        ],
    }


def _place(chart: Mapping[str, Any], section: str, place: int) -> dict[str, Any]:
    where = {"uuid": f"{section}-{place}", "metricSectionId": section, "deleted": False, "isGenerated": False}
    return {"displayName": "", "runsCountToCompare": _MOST_RUNS, **chart, **where}


def _section(uuid: str, name: str, *, display: bool) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "name": name,
        "display": display,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
    }
