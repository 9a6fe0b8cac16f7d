"""`status --watch` on a search whose driver is this process's lock, and whose journal grows between two looks."""

import io

import pytest

from search.commands import watching
from search.commands.console import PlainConsole
from search.commands.reading import look_at
from search.commands.watching import find_news, watch
from search.finding import lock_stage
from search.folder import SearchFolder
from search.memory.events import Asked, Ended, Epoch, Event, Opened, Started
from search.memory.journal import Journal
from search.memory.outcome import Outcome
from search.place import write_place
from search.settings import write_settings
from segcore.config import TrainConfig
from segcore.errors import StoreAwayError

VALUES = TrainConfig.from_values({"epochs": 1}).values()
BEGUN = (
    Opened(cache_key="key"),
    Asked(trial=0, fold=0, values=VALUES, params={}),
    Asked(trial=1, fold=0, values=VALUES, params={}),
    Started(trial=0),
    Started(trial=1),
)
ENDED = (Epoch(trial=1, epoch=1, metrics={"iou": 0.5}), Ended(trial=1, outcome=Outcome.FINISHED))


@pytest.fixture
def folder(make_settings, make_place) -> SearchFolder:
    settings, place = make_settings(trials=2, epochs=1, confirm=0), make_place()
    found = SearchFolder(root=place.storage / settings.name)
    found.root.mkdir(parents=True)
    write_settings(settings, found.settings)
    write_place(place, found.place)
    write(found, *BEGUN)
    return found


@pytest.fixture
def shown(monkeypatch):
    """What is printed, to no terminal and without a pause."""
    console = PlainConsole(file=io.StringIO())
    monkeypatch.setattr(watching, "console", console)
    monkeypatch.setattr(watching, "_PAUSE_SECONDS", 0.0)
    return console.file


def write(folder: SearchFolder, *events: Event) -> None:
    journal = Journal(folder.search_stage.journal, "iou")
    for event in events:
        journal.write(event)
    journal.close()


def test_news_between_two_looks_are_ends_of_trials_and_the_state(folder):
    with lock_stage(folder.search_stage):
        before = look_at(folder)
        write(folder, *ENDED)
        after = look_at(folder)
    configuration = "resnet34, loss ce, full size, lr 0.001"
    assert find_news(before, after) == [f"trial 1 finished after epoch 1, best iou 0.5000: {configuration}"]
    assert find_news(after, look_at(folder)) == ["streets: interrupted"]
    assert find_news(after, after) == []


def test_trainings_of_a_confirmation_are_not_taken_for_the_search_s_trials(folder):
    before = look_at(folder)
    journal = Journal(folder.confirm_stage.journal, "iou")
    for event in (*BEGUN, *ENDED):
        journal.write(event)
    journal.close()
    configuration = "resnet34, loss ce, full size, lr 0.001"
    told = f"training 1 finished after epoch 1, best iou 0.5000: {configuration}"
    assert find_news(before, look_at(folder)) == [told]


def test_a_search_is_watched_until_its_driver_leaves(folder, shown):
    lock = lock_stage(folder.search_stage)
    lock.__enter__()
    looks = 0

    def look(at: SearchFolder):
        nonlocal looks
        looks += 1
        if looks == 2:
            write(folder, *ENDED)
        if looks == 3:
            raise StoreAwayError("the bucket is away for a while")
        if looks == 4:
            lock.__exit__(None, None, None)
        return look_at(at)

    assert watch(folder, look=look).state == "interrupted"
    assert looks == 5, "who finds nobody at work looks again"
    lines = shown.getvalue().splitlines()
    assert lines[0].startswith("trial 1 finished after epoch 1")
    assert lines[1:] == ["streets: interrupted"]


def test_a_driver_that_goes_from_one_stage_to_the_next_is_watched_on(folder, shown):
    looks = 0

    def look(at: SearchFolder):
        nonlocal looks
        looks += 1
        # Between the second look and the fourth it has let go of the one lock, and not taken the other.
        if looks in (1, 2, 4):
            with lock_stage(folder.search_stage):
                return look_at(at)
        return look_at(at)

    watch(folder, look=look)
    assert looks == 6


def test_ctrl_c_ends_the_view_alone(folder, shown):
    def look(at: SearchFolder):
        if shown.getvalue() == "" and looked:
            raise KeyboardInterrupt
        looked.append(at)
        return look_at(at)

    looked: list[SearchFolder] = []
    with lock_stage(folder.search_stage):
        assert watch(folder, look=look).state == "running"
