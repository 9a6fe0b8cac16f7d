"""Takes requests for single trials while Ray Tune runs; `tuning` takes requests to stop.

What becomes of a wish is decided in `judge.wishes`, and written by `recorder`.
"""

from ray import tune
from ray.tune.experiment import Trial

from search.memory.events import Warned
from search.memory.journal import Journal
from search.requests import Inbox
from search.run.recorder import Recorder
from segcore.errors import ConfigError


class Listener(tune.Callback):  # type: ignore[misc]
    """Hands what is asked of trials to the recorder, and warns of what cannot be done.

    Args:
        inbox: where it is asked; None where nobody is heard.
        recorder: does it.
        journal: where it is said that something cannot be done.
    """

    def __init__(self, inbox: Inbox | None, recorder: Recorder, journal: Journal) -> None:
        self._inbox = inbox
        self._recorder = recorder
        self._journal = journal

    def on_step_begin(self, iteration: int, trials: list[Trial]) -> None:
        """Do what was asked since the last look; Ray Tune calls this ten times a second, whatever happens."""
        for request in self._inbox.take() if self._inbox is not None else ():
            if request.kind == "stop" or request.trial is None:
                continue
            try:
                self._recorder.grant(request.kind, request.trial, request.reason)
            except ConfigError as error:
                self._journal.write(Warned(message=f"{error} (It was {request.reason}.)"))
