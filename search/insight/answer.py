"""A question with its answer, and the commands that answers tell of."""

import shlex
from dataclasses import dataclass
from typing import Literal

from search.insight.record import Record

Topic = Literal["choices", "luck", "cost", "stops", "weakness", "use"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A question with its answer.

    Args:
        topic: what it is about.
        question: as a person asks it.
        sentence: the answer.
        certainty: how sure it is, and what would make it surer; never empty.
        commands: what to run next, to be pasted; empty for nothing.
    """

    topic: Topic
    question: str
    sentence: str
    certainty: str
    commands: tuple[str, ...] = ()


def model_of(record: Record) -> str:
    """Return where a search's model lies."""
    return record.folder.search_stage.address(record.folder.model)


def segcore_command(*arguments: str) -> str:
    """Return a command of segcore's, to be pasted."""
    return shlex.join(["python", "-m", "segcore", *arguments])
