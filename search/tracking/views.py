"""The prepared views of a search in MLflow: tags of its experiment, listed in the menu Views and opened by links.

How MLflow keeps a view is in `view_charts`, what there is to show in `view_matter`. That follows from the search's
trials, so a view is written again when they have something new to show; each has one place, so that a resumed search
replaces it.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from search.tracking.pictures import LATEST_STEP
from search.tracking.view_charts import Section, Table, bar, build_state, line, parallel, pictures, scatter
from search.tracking.view_matter import Shown

TAG_PREFIX: Final = "mlflow.sharedViewState."
FIRST_VIEW: Final = "at-a-glance"
"""The view that links lead to."""

_PLAIN_LETTERS: Final = 19_000
"""MLflow takes 20,000 of a tag, the name of the view among them."""
_ID_LETTERS: Final = 12
_TOLD_LETTERS: Final = 6
_MOST_PARAMS: Final = 8
"""Of parallel coordinates, whose names else run into each other."""
_LOSS: Final = "train_loss"
"""What a training lessens, each its own loss."""
_MACHINE: Final = (
    "system/gpu_0_utilization_percentage",
    "system/gpu_0_memory_usage_percentage",
    "system/trial_cpu_cores",
    "system/cpu_utilization_percentage",
    "system/trial_memory_megabytes",
    "system/system_memory_usage_percentage",
)
"""What the machine of a trial did, see `search.run.system`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A prepared view.

    Args:
        slug: tells it from the other views of a search.
        name: in the menu.
        says: what it is for.
        as_table: whether a link opens it as a table, not as charts.
        state: of the page.
    """

    slug: str
    name: str
    says: str
    state: dict[str, Any]
    as_table: bool = False


def build_views(shown: Shown, search_id: str, parent_id: str) -> list[View]:
    """Return every view of a search, the one to begin with first.

    Args:
        shown: what it has to show.
        search_id: tells it from others of its name.
        parent_id: the run that its trials belong to.
    """
    trials = f"tags.`mlflow.parentRunId` = '{parent_id}'"
    again = f"tags.`search.id` = '{search_id}' and tags.`search.stage` != 'search' and params.`configuration` LIKE '#%'"
    scores = [shown.best, shown.confirmed, "rank"]
    params = [f"params.`{name}`" for name in (*shown.params, *shown.some_params)]
    standing = ["tags.`state`", "tags.`reason`"]
    verdict = "tags.`confirmation`"
    best = f"metrics.`{shown.best}`"

    def of_trials(*columns: str, first_alone: bool = False) -> Table:
        return Table(query=trials, order=best, columns=columns, first_alone=first_alone)

    confirmed = [*_metrics([shown.best, shown.key]), "params.`fold`"]
    return [
        _view(FIRST_VIEW, "At a glance", "scores, learning curves, choices, cost and pictures of all trials",
              _glance(shown), of_trials(*_metrics(scores), standing[0], *params)),
        _view("leaderboard", "Leaderboard", "every trial with its scores, who won, its state and why",
              _leaderboard(shown), of_trials(*_metrics(scores), verdict, *standing, *params), as_table=True),
        _view("by-class", "By class", "the IoU of every class, of the twenty best",
              [Section(name="IoU by class", charts=[bar(name) for name in shown.classes], height=320)],
              of_trials(*_metrics([shown.best, *shown.classes]), first_alone=True)),
        _view("by-condition", "By condition", "the twenty best by day, night and whatever else the data tells",
              _conditions(shown), of_trials(*_metrics([shown.best, *shown.conditions]), first_alone=True)),
        _view("pictures", "Pictures", "the same images as each trial saw them",
              [Section(name="Pictures", charts=[pictures(shown.pictures, LATEST_STEP)], columns=1, height=1200)],
              of_trials(*_metrics([shown.best]))),
        _view("cost", "Cost and resources", "what the twenty best took, and what they did with it",
              _cost(shown),
              of_trials(*_metrics([shown.best, shown.hours, "device_seconds", "peak_memory_gib", "latency_ms"]),
                        first_alone=True)),
        _view("folds", "Confirmation and folds", "the best configurations on further folds, mean and spread",
              _folds(shown), Table(query=again, order=best, columns=confirmed, group_by="configuration")),
    ]  # fmt: skip


def _view(
    slug: str, name: str, says: str, sections: Sequence[Section], table: Table, *, as_table: bool = False
) -> View:
    return View(slug=slug, name=name, says=says, state=build_state(slug, sections, table), as_table=as_table)


def view_tags(
    views: Iterable[View], search_id: str, created: int, others: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the experiment's tags that hold views.

    Args:
        views: of a search.
        search_id: tells it from others of its name.
        created: when, milliseconds since the Unix epoch; they are listed by it.
        others: the experiment's tags; where they hold views of another search of this name, these get another name.
    """
    own = f"{TAG_PREFIX}{view_id(search_id, '')}"
    is_second = any(tag.startswith(TAG_PREFIX) and not tag.startswith(own) and _is_ours(tag) for tag in others or ())
    suffix = f" ({search_id[:_TOLD_LETTERS]})" if is_second else ""
    return {
        f"{own}{view.slug}": json.dumps(
            # The menu has the newest first.
            {"name": f"{view.name}{suffix}", "createdAt": created - place, "state": _pack(view.state)}
        )
        for place, view in enumerate(views)
    }


def _pack(state: Mapping[str, Any]) -> str:
    """Return a state as text; of many charts it is longer than a tag, and MLflow's page unpacks what is packed so."""
    plain = json.dumps(state)
    if len(json.dumps(plain)) <= _PLAIN_LETTERS:
        return plain
    return f"deflate;{base64.b64encode(zlib.compress(plain.encode())).decode()}"


def _is_ours(tag: str) -> bool:
    return tag.endswith(f"-{FIRST_VIEW}")


def view_id(search_id: str, slug: str) -> str:
    """Return what MLflow knows a view by."""
    return f"{search_id[:_ID_LETTERS]}-{slug}"


def view_link(experiment_id: str, search_id: str, slug: str = FIRST_VIEW, *, as_table: bool = False) -> str:
    """Return the address of a view, from any page of its server.

    Args:
        experiment_id: of the search.
        search_id: tells it from others of its name.
        slug: of the view.
        as_table: whether it opens as a table.
    """
    mode = "TABLE" if as_table else "CHART"
    return (
        f"#/experiments/{experiment_id}/runs?workflowType=machine_learning&compareRunsMode={mode}"
        f"&viewStateShareKey={quote(view_id(search_id, slug))}"
    )


def _glance(shown: Shown) -> list[Section]:
    courses = [line(key) for key in (shown.key, _LOSS) if key == shown.key or key in shown.metrics]
    drawn = [_parallel(shown), scatter(shown.hours, shown.best)]
    return [
        Section(
            name="Scores: best of each trial, and confirmed", charts=[bar(shown.best), bar(shown.confirmed)], columns=2
        ),
        Section(name="Learning curves", charts=courses, columns=2, height=420),
        Section(name="What was drawn, how it scored, what it cost", charts=drawn, columns=1, height=420),
        Section(name="Pictures", charts=[pictures(shown.pictures, LATEST_STEP)], columns=1, height=700),
    ]


def _leaderboard(shown: Shown) -> list[Section]:
    charts = [bar(shown.best), bar(shown.confirmed), bar(shown.out_of_fold)]
    return [Section(name="Scores", charts=charts, columns=1, height=420)]


def _conditions(shown: Shown) -> list[Section]:
    last = [bar(name) for name in shown.conditions]
    return [
        Section(name="Score by condition", charts=last),
        Section(name="Score by condition and epoch", charts=[line(name) for name in shown.conditions]),
    ]


def _cost(shown: Shown) -> list[Section]:
    spent = [scatter(shown.hours, shown.best), bar(shown.hours)]
    spent += [scatter("latency_ms", shown.best)] if "latency_ms" in shown.metrics else []
    speed = [line(name) for name in ("seconds", "samples_per_second", "wait_share") if name in shown.metrics]
    resources = [bar(name) for name in ("peak_memory_gib", "memory_gib", "latency_ms") if name in shown.metrics]
    sections = [
        Section(name="Score against cost", charts=spent),
        Section(name="Speed, and the share of waiting for data", charts=speed),
        Section(name="Memory and latency", charts=resources),
        # MLflow leaves out those that no run has.
        Section(name="Machine, by epoch", charts=[line(name) for name in _MACHINE]),
    ]
    return [section for section in sections if section.charts]


def _folds(shown: Shown) -> list[Section]:
    return [
        Section(
            name="Learning curves: mean over folds, and their spread", charts=[line(shown.key)], columns=1, height=420
        ),
        Section(name="Mean over folds", charts=[bar(shown.best)], columns=1),
    ]


def _parallel(shown: Shown) -> Any:
    return parallel(shown.params[:_MOST_PARAMS], [shown.best])


def _metrics(names: Iterable[str]) -> list[str]:
    return [f"metrics.`{name}`" for name in names]
