"""What one run of Ray Tune needs: the settings, the place, the files, the journal, and what all its trials share."""

import math
from dataclasses import dataclass

from search.folder import GOES_ON, StageFolder
from search.judge.asha import rung_epochs
from search.memory.history import History
from search.memory.journal import Journal
from search.place import Place
from search.requests import Inbox
from search.run.capacity import Capacity
from search.run.trial_job import Limits, TrialJob
from search.settings import SearchSettings
from segcore.data.caching.cache import PixelCache
from segcore.data.dividing.split import FoldSplit
from segcore.errors import CheckpointError, ClusterError, InterruptedSearchError


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One run of Ray Tune over trials that a journal remembers.

    Args:
        settings: what the search is.
        place: where it runs, and on what.
        folder: where the stage's files lie.
        journal: its memory, open for writing.
        job: what all trials share.
        capacity: the cluster's nodes; None counts those that are there.
        inbox: what others ask of the search; None where nobody is heard.
        name: `search`, `confirm` or `retrain`.
        options: of the command that goes on with it, which nothing else remembers.
        granted: whether the time budget of its settings is of this run alone, granted by its command.
    """

    settings: SearchSettings
    place: Place
    folder: StageFolder
    journal: Journal
    job: TrialJob
    capacity: Capacity | None = None
    inbox: Inbox | None = None
    name: str = "search"
    options: tuple[str, ...] = ()
    granted: bool = False

    @property
    def room(self) -> Capacity:
        """What the cluster's nodes hold."""
        return self.capacity or Capacity(self.place)

    @property
    def again(self) -> str:
        """The command line that goes on with it, to be pasted."""
        return self.folder.command(GOES_ON[self.name], *self.options, *self._name_time_left())

    def _name_time_left(self) -> list[str]:
        if not self.granted:
            return []
        if not self.settings.time_budget_seconds:
            return ["--time-budget", "0"]
        left_seconds = self.settings.time_budget_seconds - self.journal.history.spent_seconds
        return ["--time-budget", f"{max(1, math.ceil(left_seconds))}s"]

    @property
    def is_stopped(self) -> bool:
        """Whether somebody asked the search to stop."""
        return self.inbox is not None and self.inbox.is_stopped

    def require_unstopped(self) -> None:
        """Raise `InterruptedSearchError` when the stage was stopped since somebody had asked for it."""
        if self.inbox is not None and self.inbox.stop is not None:
            raise InterruptedSearchError(f"Stopped, as {self.inbox.stop.reason}; go on with '{self.again}'.")

    def require_hope(self, capacity: Capacity) -> None:
        """Raise `ClusterError` when no node could hold a trial for as long as the place allows.

        Args:
            capacity: the nodes that were waited for.
        """
        if capacity.is_given_up:
            raise ClusterError(
                f"Waited {capacity.empty_seconds:.0f} s in vain for {capacity.describe_lack()}. Add nodes, ask for "
                f"less per trial or wait longer (--wait 2h), then run '{self.again}'."
            )


def make_job(
    settings: SearchSettings, place: Place, cache: PixelCache, split: FoldSplit, *, limited: bool = False
) -> TrialJob:
    """Return what all trials of a stage share.

    Args:
        settings: the objective and the limits of a prediction are used.
        place: data, cache and resources are used.
        cache: the decoded data.
        split: the folds.
        limited: whether the settings' limits hold; they choose among configurations, so only in a search.
    """
    wanted = settings.weighs_latency or settings.max_latency_ms or settings.max_memory_gib
    limits = Limits(latency_ms=settings.max_latency_ms, memory_gib=settings.max_memory_gib)
    return TrialJob(
        data=place.data,
        cache_root=place.cache,
        extra=place.extra,
        cache_key=cache.key,
        split=split,
        cpus=place.cpus_per_trial,
        gpus=place.gpus_per_trial,
        metric=settings.metric,
        limits=limits if wanted and limited else None,
        # Where trials are compared and may stop, so that each has a picture of its last epoch.
        picture_epochs=(1, *rung_epochs(settings.resolved_grace_epochs, settings.reduction_factor, settings.epochs)),
        layout=place.layout,
    )


def require_same_data(stage: Stage, *others: History) -> None:
    """Raise `CheckpointError` when the data is not what the trials of a stage and of others were trained on."""
    known = {history.cache_key for history in (stage.journal.history, *others)} - {None}
    if known - {stage.job.cache_key}:
        raise CheckpointError(
            f"Images, masks or classes in {stage.place.data} or the extra data changed since "
            f"{stage.settings.name!r} began, so its scores cannot be compared with new ones; restore the data, or "
            "launch a new search."
        )
