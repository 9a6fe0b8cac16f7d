"""The charts, sections and states of MLflow's prepared views, as its page keeps them.

What each view shows is in `views`.

MLflow documents none of this. Fields that it does not know it leaves aside, and what is left out it fills, so another
version shows less, or the page as it always is.
"""

from collections.abc import Sequence
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
        columns: charts beside each other.
        height: of a chart, pixels.
    """

    name: str
    charts: Sequence[Chart]
    columns: int = 3
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


def build_state(
    slug: str,
    sections: Sequence[Section],
    *,
    query: str,
    order: str,
    columns: Sequence[str],
    ascending: bool = False,
    group_by: str | None = None,
    charts_only: bool = False,
) -> dict[str, Any]:
    """Return the state of the page of an experiment's runs.

    Args:
        slug: of the view; what is in it is named by it.
        sections: of charts, in order.
        query: which runs, as MLflow's search takes it.
        order: column to sort by.
        columns: of the table, such as ``metrics.`iou` ``.
        ascending: whether the lowest comes first.
        group_by: parameter whose runs are one, by their mean; None: each is itself.
        charts_only: whether the table beside the charts is folded away.
    """
    shown = [(f"{slug}-{number}", section) for number, section in enumerate(sections)]
    charts = [
        {
            "displayName": "",
            "runsCountToCompare": _MOST_RUNS,
            **chart,
            "uuid": f"{uuid}-{place}",
            "metricSectionId": uuid,
            "deleted": False,
            "isGenerated": False,
        }
        for uuid, section in shown
        for place, chart in enumerate(section.charts)
    ]
    own = [
        {**_section(uuid, section.name, display=True), "columns": section.columns, "cardHeight": section.height}
        for uuid, section in shown
    ]
    others = [_section(f"{slug}-{name}", name, display=False) for name in _OTHERS]
    group = {"aggregateFunction": "average", "groupByKeys": [{"mode": "param", "groupByData": group_by}]}
    return {
        "searchFilter": query,
        "orderByKey": order,
        "orderByAsc": ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [*columns],
        "runsHiddenMode": "SHOWALL",
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsExpanded": {},
        "groupBy": group if group_by else None,
        "groupsExpanded": {},
        "useGroupedValuesInCharts": True,
        "viewMaximized": False,
        "runListHidden": charts_only,
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
        "autoRefreshEnabled": True,
        "compareRunSections": [*own, *others],
        "compareRunCharts": charts,
    }


def _section(uuid: str, name: str, *, display: bool) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "name": name,
        "display": display,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
    }
