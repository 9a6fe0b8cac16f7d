from pathlib import Path

import pytest

from benchmarks.scale.growth import count_reports, follow, grow, open_growing
from search.settings import build_settings


@pytest.fixture
def stage(tmp_path: Path):
    sizes = {"trials": 12, "epochs": 4, "grace_epochs": 1, "reduction_factor": 2}
    return open_growing(build_settings({"name": "growth", "space": "demo", "objective": "iou", **sizes}), tmp_path)


def test_simulated_workers_run_every_trial_to_an_end(stage):
    parts = list(grow(stage, workers=3))
    history = stage.journal.history
    assert len(parts) == 4
    assert len(history.trials) == 12
    assert history.unfinished == []
    assert sum(len(part.verdict_ms) for part in parts) == count_reports(stage)
    assert 4 in {trial.last_epoch for trial in history.in_order}


def test_a_resume_reads_what_was_grown(stage, tmp_path):
    list(grow(stage, workers=3))
    reports = count_reports(stage)
    stage.journal.close()
    again = open_growing(stage.settings, tmp_path)
    asha, _ = follow(again)
    assert count_reports(again) == reports
    assert {asha.waits(number) for number in again.journal.history.trials} == {True, False}
