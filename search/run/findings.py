"""What is wrong with the nodes of a cluster, and what to do about it, from what each of them answered."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from search.run.health import Answer, NodeHealth
from search.run.mps import ADVICE
from search.run.probe import find_faults
from segcore.counting import count_words

_SKEW_SECONDS: Final = 5.0
_FULL_SHARE: Final = 0.95
"""Ray takes no more objects on a disk as full as this."""
_CACHE_GIB: Final = 10.0
_TEMP_GIB: Final = 5.0
_SHARED_GIB: Final = 1.0
_MEMORY_GIB: Final = 4.0

Level = Literal["fault", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong.

    Args:
        level: `fault`: a search fails or loses a node by it; `warning`: it may.
        where: the node.
        told: what, and what to do.
    """

    level: Level
    where: str
    told: str


def find_all(
    nodes: Sequence[NodeHealth], versions: dict[str, str], code: str, pretended: bool, shared: bool = False
) -> list[Finding]:
    """Return everything that is wrong with the nodes, faults first.

    Args:
        nodes: what they answered.
        versions: on the driver's machine, as `find_versions` returns them.
        code: digest of this project's code there.
        pretended: whether GPUs are taken on Ray's word.
        shared: whether several trials are to train on one GPU.
    """
    found = [each for node in nodes for each in _judge(node, versions, code, pretended)]
    found += [each for node in nodes for each in _find_turns(node)] if shared and not pretended else []
    found += _compare_data(nodes)
    return sorted(found, key=lambda finding: finding.level != "fault")


def _judge(node: NodeHealth, versions: dict[str, str], code: str, pretended: bool) -> Iterator[Finding]:
    if node.problem:
        yield Finding(level="fault", where=node.name, told=f"{node.problem}.")
    if node.answer is None:
        return
    faults = [*find_faults(node.answer.probe, versions, node.gpus, pretended), *_find_faults(node.answer, code)]
    for told in faults:
        yield Finding(level="fault", where=node.name, told=f"{told.rstrip('.')}.")
    for told in (*_find_shortages(node.answer), *_find_open_doors(node.answer), *_find_skew(node.skew_seconds)):
        yield Finding(level="warning", where=node.name, told=f"{told.rstrip('.')}.")


def _find_faults(answer: Answer, code: str) -> Iterator[str]:
    if answer.code != code:
        yield f"code {answer.code} there and {code} here: send this project's code to it again"
    if answer.data_problem:
        yield f"the data cannot be read there: {answer.data_problem}"
    if answer.shut:
        yield f"does not reach {', '.join(answer.shut)}: let the nodes reach each other on all ports"
    if answer.temp_used_share >= _FULL_SHARE:
        yield f"the disk of /tmp is {answer.temp_used_share:.0%} full, on which Ray keeps no more objects: make room"


def _find_turns(node: NodeHealth) -> Iterator[Finding]:
    if node.answer is not None and node.answer.probe.gpus and not node.answer.probe.has_mps:
        yield Finding(level="warning", where=node.name, told=f"{ADVICE}.")


def _find_shortages(answer: Answer) -> Iterator[str]:
    probe = answer.probe
    if probe.free_disk_gib < _CACHE_GIB:
        free = f"{probe.free_disk_gib:.1f} GiB free for decoded images, less than {_CACHE_GIB:g}"
        yield f"{free}: give another disk by --cache, or make room"
    if answer.temp_free_gib < _TEMP_GIB and answer.temp_used_share < _FULL_SHARE:
        yield f"{answer.temp_free_gib:.1f} GiB free in /tmp for Ray's files, less than {_TEMP_GIB:g}: make room"
    if probe.shared_memory_gib < _SHARED_GIB:
        told = f"/dev/shm has {probe.shared_memory_gib:.2f} GiB, less than {_SHARED_GIB:g}"
        yield f"{told}: start the container with --shm-size 4g"
    if probe.memory_gib < _MEMORY_GIB:
        yield f"{probe.memory_gib:.1f} GiB of memory: a training takes 2 to 4; use a larger machine"
    if answer.weights_problem:
        yield answer.weights_problem
    if answer.mlflow_shut:
        yield f"does not reach {answer.mlflow_shut}, as a driver must: launch from a node that does, or open the port"


def _find_open_doors(answer: Answer) -> Iterator[str]:
    if not answer.has_token:
        yield "Ray asks for no token, so whoever reaches it runs code there: start it with RAY_AUTH_MODE=token"
    if answer.open_token:
        yield f"other users may read Ray's token: chmod 600 {answer.open_token}"


def _find_skew(seconds: float) -> Iterator[str]:
    if abs(seconds) > _SKEW_SECONDS:
        way = "ahead of" if seconds > 0 else "behind"
        yield f"its clock is {abs(seconds):.0f} s {way} this machine's: let both keep time by NTP (chrony)"


def _compare_data(nodes: Sequence[NodeHealth]) -> Iterator[Finding]:
    """Name the nodes whose data has another number of images than most have."""
    counts = {node.name: node.answer.images for node in nodes if node.answer and node.answer.images is not None}
    usual = max(Counter(counts.values()).items(), key=lambda item: (item[1], item[0]))[0] if counts else 0
    for name, count in counts.items():
        if count != usual:
            yield Finding(
                level="fault",
                where=name,
                told=f"the data has {count_words(count, 'labelled image')} "
                f"there and {usual} elsewhere: give every node the same.",
            )
