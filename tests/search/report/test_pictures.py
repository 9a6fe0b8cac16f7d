from search.insight.record import read_record
from search.memory.events import Epoch
from search.report.pictures import pictures


def test_the_best_the_median_and_the_worst_are_shown(matter):
    page = pictures(matter).content
    assert page.count("data:image/jpeg;base64,") == 3
    assert all(f"{word} of 14" in page for word in ("the best", "the median", "the worst"))


def test_pictures_that_are_away_or_outside_are_left_out(small, make_matter):
    record = read_record(small)
    for trial in record.history.trials:
        picture = "../../../etc/passwd" if trial else "away.jpg"
        record.history.apply(Epoch(trial=trial, epoch=1, metrics={"iou": 0.5}, picture=picture))
    assert "No picture is in the search" in pictures(make_matter(record)).content
