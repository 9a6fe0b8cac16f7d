import html
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from mlflow import MlflowClient

from search.insight.answer import Answer
from search.memory.events import Closed
from search.memory.outcome import Outcome
from search.tracking.overview_page import describe_search
from search.tracking.reports import log_report
from search.tracking.runs import StageRuns
from search.tracking.store import PARENT
from search.verdict.notes import best_note
from segcore.errors import TrackingError


def test_the_report_becomes_a_file_of_the_search_s_own_run_and_is_replaced(
    settings, place, stage, script, write_search, find_runs, tmp_path
):
    write_search(script)
    StageRuns(settings, place, "search", stage)
    page = tmp_path / "report.html"
    for content in ("first", "second"):
        page.write_text(content)
        log_report(settings, place, stage, page)
    (parent,), _ = find_runs(place)
    client = MlflowClient(place.tracking_uri)
    assert [file.path for file in client.list_artifacts(parent.info.run_id)].count("report.html") == 1
    assert Path(client.download_artifacts(parent.info.run_id, "report.html")).read_text() == "second"


def test_without_a_run_of_the_search_nothing_is_written(settings, place, stage, script, write_search, tmp_path):
    write_search(script)
    log_report(settings, place, stage, tmp_path / "away.html")
    assert MlflowClient(place.tracking_uri).get_experiment_by_name("streets") is None


def test_a_report_that_mlflow_does_not_take_is_told_with_the_remedy(
    settings, place, stage, script, write_search, tmp_path
):
    write_search(script)
    StageRuns(settings, place, "search", stage)
    with pytest.raises(TrackingError, match=r"away\.html is not in .*'python -m search sync .*' sends it"):
        log_report(settings, place, stage, tmp_path / "away.html")


def test_the_page_of_a_search_that_has_ended_links_to_its_report(make_record, make_trials):
    history = make_trials({"ious": [0.5]})
    running = describe_search(make_record(history), (), (), "1", {PARENT: "ab"})
    history.apply(Closed(metrics={"iou": 0.5}, note=""))
    ended = describe_search(make_record(history), (), (), "1", {PARENT: "ab"})
    link = "[Report](#/experiments/1/runs/ab/artifacts/report.html?workflowType=machine_learning)"
    assert (link in running, link in ended) == (False, True)


def test_the_page_of_a_search_of_which_no_trial_can_win_has_no_table_of_the_best(make_record, make_trials):
    history = make_trials({"ious": [0.5], "outcome": Outcome.FAILED})
    assert "The best" not in describe_search(make_record(history), (), (), "1", {PARENT: "ab"})


@pytest.mark.parametrize(
    ("trials", "outcome", "told"),
    [
        (2, Outcome.OVER_LIMIT, "no trial can win"),
        (3, Outcome.OVER_LIMIT, "no trial has a score yet"),
        (2, "", "no trial has a score yet"),
    ],
    ids=["all have ended", "one is to come", "one runs"],
)
def test_the_page_of_a_search_without_a_score_says_whether_one_is_to_come(
    make_record, make_trials, trials, outcome, told
):
    history = make_trials({"ious": [], "outcome": Outcome.OVER_LIMIT}, {"ious": [], "outcome": outcome})
    page = describe_search(make_record(history, settings={"trials": trials}), (), (), "1", {PARENT: "ab"})
    assert page.startswith(f"### streets: {told}")


def test_what_others_wrote_is_no_link_and_no_picture_on_a_search_s_page(make_record, make_trials, make_best):
    evil = "![x](http://evil.example)<img src=http://evil.example>|[x](javascript:a)"
    best = make_best()
    best.values["backbone"] = evil
    record = make_record(make_trials({"ious": [0.5], "values": best.values}), best=best)
    answer = Answer(topic="luck", question=evil, sentence=evil, certainty=evil, commands=(f"ls '{evil}`'",))
    page = describe_search(record, (answer,), (), "1", {0: "ab"})
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    drawn = reader.render(page) + reader.render(best_note(best))
    # In the answer four times, in the table of the best, and in the note of the winner.
    assert drawn.count(html.escape(evil)) == 6
    assert "<img" not in drawn
    assert re.findall('href="([^?"]*)', drawn) == ["#/experiments/1/runs/ab"]
