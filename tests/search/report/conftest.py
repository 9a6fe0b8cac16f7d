"""A search of 500 trials, simulated once, and small ones event by event."""

from collections.abc import Callable
from pathlib import Path

import pytest

from search.folder import SearchFolder
from search.insight.answers import answer_questions
from search.insight.record import Record, read_record
from search.judge.progress import build_asha
from search.report.matter import Matter
from tests.search.report.simulated import simulate_search


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> SearchFolder:
    """A search of 500 trials that was confirmed and retrained."""
    return simulate_search(tmp_path_factory.mktemp("large") / "searches")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> SearchFolder:
    """A search of 12 trials that was confirmed and retrained."""
    storage: Path = tmp_path_factory.mktemp("finished") / "searches"
    return simulate_search(storage, trials=12, workers=2, name="finished")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> SearchFolder:
    """A search of 14 trials on two workers, neither confirmed nor retrained."""
    storage: Path = tmp_path_factory.mktemp("small") / "searches"
    return simulate_search(storage, trials=14, workers=2, finish=False, name="small")


def gather_quickly(record: Record) -> Matter:
    """What a report shows, but for importance, which takes seconds."""
    rungs = build_asha(record.settings).rungs
    return Matter(record=record, importances=(), answers=answer_questions(record, ()), rungs=rungs)


@pytest.fixture
def make_matter() -> Callable[[Record], Matter]:
    """Return a function that gathers what a report shows, but for importance, which takes seconds."""
    return gather_quickly


@pytest.fixture
def matter(small: SearchFolder) -> Matter:
    """The small search as its report shows it."""
    return gather_quickly(read_record(small))
