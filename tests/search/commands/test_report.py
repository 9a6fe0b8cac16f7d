import re

import pytest
from typer.testing import CliRunner

from search.__main__ import app
from search.finding import lock_stage
from search.folder import SearchFolder
from tests.search.report.simulated import simulate_search


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """A storage with two small searches."""
    found = tmp_path_factory.mktemp("reported") / "searches"
    for seed, name in enumerate(("first", "second")):
        simulate_search(found, trials=8, workers=2, finish=seed == 0, name=name, seed=seed)
    return found


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_a_report_is_written_into_the_search_s_folder_or_where_it_is_asked_for(storage, tmp_path):
    assert "report.html" in run("report", "first", "--storage", storage)
    assert "<h1>Search first</h1>" in (storage / "first" / "report.html").read_text()
    run("report", "first", "--storage", storage, "--out", tmp_path / "pages" / "my.html")
    assert (tmp_path / "pages" / "my.html").exists()


def test_a_trial_counts_as_running_only_while_a_process_runs_the_search(storage, tmp_path):
    journal = storage / "second" / "journal.jsonl"
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    # Cut where a worker has just taken a trial.
    cut = max(place for place, line in enumerate(lines) if b'"event":"started"' in line)
    journal.write_bytes(b"".join(lines[: cut + 1]))
    page = tmp_path / "page.html"
    with lock_stage(SearchFolder(root=storage / "second").search_stage):
        run("report", "second", "--storage", storage, "--out", page)
    assert re.search("It has not come to its end", page.read_text())
    assert ">running<" in page.read_text()
    run("report", "second", "--storage", storage, "--out", page)
    assert ">running<" not in page.read_text()
    journal.write_bytes(whole)


def test_two_searches_are_compared_by_name(storage, tmp_path):
    told = run("compare", "first", "second", "--storage", storage, "--out", tmp_path / "both.html")
    assert "Nobody knows whose winner is ahead" in told
    assert "<h1>Searches first and second</h1>" in (tmp_path / "both.html").read_text()
    run("compare", "first", "second", "--storage", storage)
    assert (storage / "first" / "compare-second.html").exists()
