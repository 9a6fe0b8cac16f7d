"""A search's prepared views, as MLflow's own page shows them in a headless Chromium."""

import base64
import json
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.utils.validation import MAX_EXPERIMENT_TAG_VAL_LENGTH
from PIL import Image

from search.folder import SearchFolder
from search.memory.events import Asked, Closed, Ended, Epoch, Opened
from search.memory.history import History
from search.memory.journal import Journal
from search.memory.outcome import Outcome
from search.place import Place, build_place, write_place
from search.settings import SearchSettings, build_settings, write_settings
from search.tracking.experiments import list_searches
from search.tracking.follower import Tracker
from search.tracking.overview import write_overview
from search.tracking.overview_page import LOOK, link_earlier
from search.tracking.store import open_client, trials_link
from search.tracking.view_matter import look_at
from search.tracking.views import TAG_PREFIX, build_views, view_link, view_tags
from segcore.config import TrainConfig
from segcore.data.dividing.split import FoldSplit, write_folds
from tests.browser import Browser, browse, needs_chromium

TRIALS = 12
"""More than the ten that MLflow shows unless it is told otherwise."""
SLUGS = ("at-a-glance", "leaderboard", "by-class", "by-condition", "pictures", "cost", "folds")


def draw(folder: Path, number: int) -> dict[str, str]:
    """Pictures of a trial by condition; each is sent over the wire, so there are few."""
    files = {shown: folder / f"{shown}_{number}.jpg" for shown in ("day", "night")}
    for file in files.values():
        Image.new("RGB", (60, 20), (200, 90, 90)).save(file)
    return {shown: file.name for shown, file in files.items()}


def write_trial(journal: Journal, folder: Path, number: int, fold: int = 0, source: int | None = None) -> None:
    """One trial of two epochs, each with classes, conditions, seconds and a picture."""
    drawn = {"backbone": "resnet34" if number % 2 else "resnet18", "learning_rate": 1e-3 * (number + 1)}
    values = TrainConfig.from_values({**drawn, "epochs": 2}).values()
    journal.write(Asked(trial=number, fold=fold, values=values, params=drawn if source is None else {}, source=source))
    for epoch in (1, 2):
        score = 0.1 * epoch + 0.01 * number
        metrics = {"iou": score, "iou/car": score, "iou_at/day": score, "iou_at/night": score / 2, "seconds": 60.0}
        pictures = draw(folder, number) if number == TRIALS - 1 and epoch == 2 else {}
        scores = {"a": score, "b": score} if source is not None else None
        journal.write(
            Epoch(
                trial=number,
                epoch=epoch,
                metrics=metrics,
                picture=pictures.get("day"),
                pictures=pictures,
                image_scores=scores,
            )
        )
    journal.write(Ended(trial=number, outcome=Outcome.FINISHED))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> SearchFolder:
    """A search of twelve trials whose best two were trained on a further fold."""
    storage = tmp_path_factory.mktemp("searches")
    folder = SearchFolder(root=storage / "streets")
    folder.root.mkdir()
    values = {"name": "streets", "epochs": 2, "trials": TRIALS, "folds": 2, "confirm": 2, "confirm_folds": 1}
    write_settings(build_settings({**values, "search_id": "1d" * 16, "objective": "iou"}), folder.settings)
    write_place(build_place({"data": storage, "storage": storage}), folder.place)
    write_folds(FoldSplit(folds=2, fold_of={"a": 1, "b": 1}, block_of={"a": "a", "b": "b"}), folder.folds)
    journal = Journal(folder.search_stage.journal, "iou")
    journal.write(Opened(cache_key="0123456789"))
    for number in range(TRIALS):
        write_trial(journal, folder.root, number)
    journal.write(Closed(metrics={"iou": 0.31}, note="done"))
    journal.close()
    confirmed = folder.confirm_stage.root
    confirmed.mkdir()
    journal = Journal(folder.confirm_stage.journal, "iou")
    for number, source in enumerate((11, 10)):
        write_trial(journal, confirmed, number, fold=1, source=source)
    journal.write(Closed(metrics={"iou": 0.2}, note="done"))
    journal.close()
    return folder


def settings_of(folder: SearchFolder) -> SearchSettings:
    return build_settings(json.loads(folder.settings.read_text()))


def send(folder: SearchFolder, place: Place) -> None:
    for name in ("search", "confirm"):
        tracker = Tracker(settings_of(folder), place, name, folder.stages[name])
        assert (tracker.close(), tracker.lack, tracker.set_aside) == (0, None, {})


@pytest.fixture(scope="module")
def place(folder, empty_database) -> Place:
    """Where the search was sent: a database in the storage."""
    storage = folder.root.parent
    shutil.copy(empty_database, storage / "mlflow.db")
    place = build_place({"data": storage, "storage": storage})
    send(folder, place)
    return place


@pytest.fixture(scope="module")
def server(place, find_free_port, mlflow_server) -> Iterator[str]:
    """The address of a real MLflow server on that database."""
    port = find_free_port()
    with mlflow_server(place.storage, port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    with browse(tmp_path_factory.mktemp("chromium"), height=4000) as page:
        yield page


@pytest.fixture
def client(place) -> MlflowClient:
    return open_client(place.tracking_uri)


VIEWS = {
    "at-a-glance": ("At a glance", "Scores: best of each trial, and confirmed", "iou_best", "confirmed_iou",
                    "Learning curves", "What was drawn, how it scored, what it cost", "Parallel Coordinates",
                    "core_hours vs. iou_best", "Pictures", f"{TRIALS} matching runs"),
    "leaderboard": ("Leaderboard", "iou_best", "confirmed_iou", "rank", "backbone", "resnet34 full ce #11"),
    "by-class": ("By class", "IoU by class", "class/car"),
    "by-condition": ("By condition", "Score by condition", "condition/day", "condition/night"),
    "pictures": ("Pictures", "day", "night"),
    "cost": ("Cost and resources", "Score against cost", "core_hours", "seconds"),
    "folds": ("Confirmation and folds", "Learning curves: mean over folds, and their spread",
              "Group: #11", "Group: #10"),
}  # fmt: skip


@needs_chromium
@pytest.mark.parametrize("slug", SLUGS)
@pytest.mark.slow
def test_view_opens_from_its_link_with_its_charts(slug, folder, server, browser, client):
    experiment = client.get_experiment_by_name("streets").experiment_id
    search_id = settings_of(folder).search_id
    link = view_link(experiment, search_id, slug, as_table=slug == "leaderboard")
    browser.open(f"{server}/{link}")
    browser.wait_for(*VIEWS[slug])


@needs_chromium
@pytest.mark.slow
def test_printed_link_opens_at_a_glance(folder, place, server, browser):
    browser.open(trials_link(settings_of(folder), place, server))
    browser.wait_for("At a glance", "You're viewing a shared view", "Scores: best of each trial, and confirmed")


@needs_chromium
@pytest.mark.slow
def test_page_of_the_search_says_who_won_and_answers(server, browser, client):
    experiment = client.get_experiment_by_name("streets").experiment_id
    (parent,) = client.search_runs([experiment], "tags.`search.trial` = '-1' and tags.`search.stage` = 'search'")
    address = f"{server}/#/experiments/{experiment}/runs/{parent.info.run_id}"
    browser.open(f"{address}?workflowType=machine_learning")
    browser.wait_for("Trial 10 won", "Leaderboard", "Was the winner luck?", "What did it cost?", "resnet34 full ce #11")


def test_confirmed_scores_stand_beside_those_of_the_search(client):
    experiment = client.get_experiment_by_name("streets").experiment_id
    query = "metrics.confirmed_iou > 0 and tags.`search.trial` != '-1'"
    found = client.search_runs([experiment], query, order_by=["metrics.confirmed_iou DESC"])
    # Trained anew as trials 0 and 1 of the confirmation, whose scores are 0.2 and 0.21.
    assert [(run.data.tags["search.trial"], run.data.metrics["confirmed_iou"]) for run in found] == [
        ("10", pytest.approx(0.21)),
        ("11", pytest.approx(0.2)),
    ]
    assert found[0].data.tags["confirmation"] == "the winner"


def test_numbers_of_the_search_itself_are_the_winners_and_beside_them_stands_the_best_score_of_all(client):
    experiment = client.get_experiment_by_name("streets").experiment_id
    (parent,) = client.search_runs([experiment], "tags.`search.trial` = '-1' and tags.`search.stage` = 'search'")
    # Trial 11 has the best score of the search, 0.2 + 0.11; confirmed, trial 10 is above it.
    numbers = [
        parent.data.metrics[name] for name in ("iou", "iou_best", "confirmed_iou", "class/car", "condition/night")
    ]
    assert numbers == pytest.approx([0.3, 0.31, 0.21, 0.3, 0.15])
    assert parent.data.tags["winner"] == "resnet18 full ce #10"


def test_the_answers_stand_above_every_view_and_what_a_person_writes_there_stays(folder, place, client):
    experiment = client.get_experiment_by_name("streets")
    note = experiment.tags["mlflow.note.content"]
    title, *rest = note.splitlines()
    assert title.startswith("### Trial 10 won, iou 0.3000 on fold 0, confirmed 0.2100")
    assert title.endswith(" (open: why, cost, use)")
    assert len(title.removeprefix("### ")) < 100, "MLflow cuts what is longer"
    assert all(any(question in line for line in rest) for question in ("Was the winner luck?", "What did it cost?"))
    client.set_experiment_tag(experiment.experiment_id, "mlflow.note.content", "### Mine")
    write_overview(place, folder)
    assert client.get_experiment_by_name("streets").tags["mlflow.note.content"] == "### Mine"
    client.set_experiment_tag(experiment.experiment_id, "mlflow.note.content", "")
    write_overview(place, folder)
    assert client.get_experiment_by_name("streets").tags["mlflow.note.content"] == note


def test_of_two_searches_of_a_name_the_later_stands_above_the_runs_and_leads_to_the_earlier(folder, place, client):
    experiment = client.get_experiment_by_name("streets")
    own = {"search.id": "2e" * 16, "search.stage": "search", "search.trial": "-1"}
    before, (first,) = experiment.tags["mlflow.note.content"], list_searches(client, [experiment.experiment_id], 9)
    later = client.create_run(experiment.experiment_id, first.info.start_time + 60_000, tags=own)
    try:
        client.set_experiment_tag(experiment.experiment_id, "mlflow.note.content", f"### Later\n{LOOK}")
        write_overview(place, folder)
        tags = client.get_experiment_by_name("streets").tags
        assert tags["mlflow.note.content"].startswith("### Later"), "the earlier leaves it alone"
        (line,) = link_earlier(experiment.experiment_id, [first])
        assert f"](#/experiments/{experiment.experiment_id}/runs/{first.info.run_id}?" in line
    finally:
        client.delete_run(later.info.run_id)
    write_overview(place, folder)
    assert client.get_experiment_by_name("streets").tags["mlflow.note.content"] == before, "once the later is gone"


def test_views_are_replaced_and_not_multiplied(folder, place, client):
    before = client.get_experiment_by_name("streets").tags
    send(folder, place)
    after = client.get_experiment_by_name("streets").tags
    assert before == after
    names = [json.loads(text)["name"] for tag, text in after.items() if tag.startswith(TAG_PREFIX)]
    assert sorted(names) == sorted(VIEWS[slug][0] for slug in SLUGS)


def history_of(*drawn: dict[str, object]) -> History:
    history = History("miou")
    for number, params in enumerate(drawn):
        history.apply(Asked(trial=number, fold=0, values={}, params=params))
        metrics = {"miou": 0.5, "iou/car": 0.4, "iou/bus": 0.0, "iou_at/night": 0.3, "train_loss": 0.7}
        history.apply(Epoch(trial=number, epoch=1, metrics=metrics))
    return history


def test_parallel_coordinates_have_what_every_trial_drew_in_the_order_of_the_space():
    """MLflow draws no run that lacks one of the choices."""
    history = history_of({"loss": "ce", "backbone": "a", "crop_size": 64}, {"loss": "ce", "backbone": "b"})
    shown = look_at(history, "gpu_hours", [])
    assert (shown.params, shown.some_params) == (["loss", "backbone"], ["crop_size"])
    assert (shown.classes, shown.conditions) == (["class/car"], ["condition/night"])
    (glance, *_) = build_views(shown, "id", "run")
    (parallel,) = [chart for chart in glance.state["compareRunCharts"] if chart["type"] == "PARALLEL"]
    assert (parallel["selectedParams"], parallel["selectedMetrics"]) == (["loss", "backbone"], ["miou_best"])


def test_leaderboard_says_of_each_trial_how_it_stands_beside_the_winner():
    """After a confirmation the winner need not be the first."""
    (_, leaderboard, *_) = build_views(look_at(history_of({}), "gpu_hours", []), "id", "run")
    columns = leaderboard.state["selectedColumns"]
    assert columns[:5] == [
        "metrics.`miou_best`", "metrics.`confirmed_miou`", "metrics.`rank`", "tags.`confirmation`", "tags.`state`",
    ]  # fmt: skip


def test_what_the_loss_did_stands_beside_what_the_score_did():
    (glance, *_) = build_views(look_at(history_of({}), "gpu_hours", []), "id", "run")
    lines = [chart["metricKey"] for chart in glance.state["compareRunCharts"] if chart["type"] == "LINE"]
    assert lines == ["miou", "train_loss"]


def test_bars_and_lines_by_class_condition_and_cost_are_of_the_runs_that_can_be_told_apart():
    """MLflow draws a bar, or a line, for each of a hundred runs that it has loaded."""
    modes = {
        view.slug: view.state["runsHiddenMode"] for view in build_views(look_at(history_of({}), "h", []), "i", "r")
    }
    assert {slug for slug, mode in modes.items() if mode == "FIRST_20_RUNS"} == {"by-class", "by-condition", "cost"}
    assert {modes[slug] for slug in ("at-a-glance", "leaderboard", "pictures", "folds")} == {"SHOWALL"}


def test_views_of_a_second_search_of_a_name_have_names_of_their_own():
    views = build_views(look_at(history_of(), "gpu_hours", []), "id", "run")
    first = view_tags(views, "aaaaaaaaaaaaaaaa", 1)
    second = view_tags(views, "bbbbbbbbbbbbbbbb", 2, others=first)
    assert not first.keys() & second.keys()
    assert {json.loads(text)["name"] for text in second.values()} >= {"At a glance (bbbbbb)"}
    assert view_tags(views, "aaaaaaaaaaaaaaaa", 1, others=first) == first


def test_view_of_a_class_that_decides_is_sorted_by_its_best():
    history = history_of({})
    shown = replace(look_at(history, "gpu_hours", []), metric="iou/car")
    assert build_views(shown, "id", "run")[0].state["orderByKey"] == "metrics.`iou_car_best`"


def test_views_of_a_hundred_classes_and_conditions_fit_into_tags():
    history = History("miou")
    history.apply(Asked(trial=0, fold=0, values={}, params={"loss": "ce"}))
    parts = {f"{prefix}a long name of one {i}": 0.5 for i in range(100) for prefix in ("iou/", "iou_at/")}
    history.apply(Epoch(trial=0, epoch=1, metrics={"miou": 0.5, **parts}))
    views = build_views(look_at(history, "gpu_hours", []), "ab" * 16, "cd")
    tags = {key.partition("-")[2]: text for key, text in view_tags(views, "ab" * 16, 7).items()}
    assert max(map(len, tags.values())) <= MAX_EXPERIMENT_TAG_VAL_LENGTH
    packed, plain = (json.loads(tags[slug])["state"] for slug in ("by-class", "cost"))
    assert json.loads(plain) == next(view.state for view in views if view.slug == "cost")
    # As MLflow's own page packs what it shares.
    assert packed.startswith("deflate;")
    state = json.loads(zlib.decompress(base64.b64decode(packed.removeprefix("deflate;"))))
    assert state == next(view.state for view in views if view.slug == "by-class")
    assert len(state["compareRunCharts"]) == 100
