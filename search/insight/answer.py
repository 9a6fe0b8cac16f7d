"""A question with its answer, and the commands that answers tell of."""

import shlex
from dataclasses import dataclass
from typing import Literal

from search.insight.record import Record
from segcore.bucket_address import is_address

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


def model_commands(record: Record, verb: str, *arguments: str) -> tuple[str, ...]:
    """Return what to run so that segcore does something with a search's model; one in a bucket is fetched first.

    Args:
        record: of the search.
        verb: what is done.
        arguments: what the command is given behind the model.
    """
    model = model_of(record)
    if not is_address(model):
        return (_command(verb, model, *arguments),)
    return record.folder.command("fetch", "FOLDER"), _command(verb, "FOLDER", *arguments)


def _command(*arguments: str) -> str:
    return shlex.join(["python", "-m", "segcore", *arguments])
