import numpy as np
import pytest
from scipy.stats import kendalltau

from benchmarks.quality.settled import VALLEYS, load_settled
from benchmarks.quality.tables import Table


@pytest.fixture(scope="module")
def tables() -> list[Table]:
    return [task for task in load_settled() if isinstance(task, Table)]


def curves_of(table: Table) -> np.ndarray:
    random = np.random.default_rng(0)
    draws = [{axis.name: float(10 ** random.uniform(-4, 0)) for axis in table.axes} for _ in range(300)]
    return np.array([table.train(draw, 0).scores for draw in draws])


def test_ranks_settle_within_the_first_epochs(tables):
    for table in tables:
        curves_CE = curves_of(table)
        whole = curves_CE[np.isfinite(curves_CE[:, -1])]
        assert kendalltau(whole[:, 1], whole[:, -1])[0] > 0.6


def test_few_configurations_are_much_better_than_all_others(tables):
    """Above the middle between the median and the best lies less than a tenth."""
    for table in tables:
        finals = curves_of(table)[:, -1]
        finals = finals[np.isfinite(finals)]
        assert np.mean(finals > (table.middle + table.best) / 2) < 0.1


def test_some_trainings_diverge_for_good(tables):
    curves_CE = curves_of(tables[0])
    gone = ~np.isfinite(curves_CE)
    assert 0.02 < gone[:, -1].mean() < 0.3
    assert (np.diff(gone.astype(int), axis=1) >= 0).all()


def test_tables_are_the_same_every_time(tables):
    again = load_settled()
    assert [(task.name, task.best) for task in again] == [(table.name, table.best) for table in tables]
    assert [task.epochs for task in again] == [valley.epochs for valley in VALLEYS]
