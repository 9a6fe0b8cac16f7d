"""`doctor`: looks at every node of a cluster before a search does, and says what is wrong and what to do."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from search.commands.console import console, print_whole
from search.commands.documents import DoctorDocument, FindingLine, NodeLine, encode_document
from search.commands.options import AsJson, Storage, Values, as_values, options_of
from search.place import DEFAULT_STORAGE, Place, build_place
from segcore.commands.groups import with_groups
from segcore.errors import UnfitClusterError

if TYPE_CHECKING:
    from search.run.health import NodeHealth

LOOKED_AT: Final = options_of(Place, only={"address", "layout", "cache", "tracking_uri", "gpus_per_trial"})
_COLOURS: Final = {"fault": "red", "warning": "yellow"}
_ROOMS: Final = ("memory", "cache", "/tmp", "/dev/shm")
_COLUMNS: Final = ("node", "Python", "Ray", "torch", "code", "cores", "GPUs", *_ROOMS, "images")
_WIDE: Final = 160
_ON: Final = "A search goes on without it, and sends what it missed."


@with_groups
def doctor(
    where: Annotated[Values, as_values(LOOKED_AT)],
    data: Annotated[str | None, typer.Option(help="data set that every node is to read; left out: none")] = None,
    as_json: AsJson = False,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Look at every node of a cluster, and say what is wrong and what to do; ends with 1 where something is."""
    from search.run import cluster
    from search.run.findings import find_all
    from search.run.health import digest_code, examine_nodes
    from search.run.probe import are_pretended, find_versions
    from search.tracking.check import check_tracking

    place = build_place({**where, "data": data or ".", "storage": storage})
    # To ask the storage's own file would make it.
    away = check_tracking(place.tracking_uri) if where.get("tracking_uri") else None
    with cluster.attached(place):
        nodes = examine_nodes(place, place.data if data else None)
    found = find_all(nodes, find_versions(), digest_code(), are_pretended(), place.shares_gpus)
    lines = [FindingLine(level=each.level, where=each.where, told=each.told) for each in found]
    lines += [FindingLine(level="warning", where="MLflow", told=f"{away} {_ON}")] if away else []
    if as_json:
        print_whole(encode_document(DoctorDocument(nodes=[_fill_node(node) for node in nodes], findings=lines)))
    else:
        _show(nodes, lines)
    faults = [each for each in found if each.level == "fault"]
    if faults:
        raise UnfitClusterError(f"Faults: {len(faults)}. A search would fail, or do without these nodes.")
    if not as_json:
        console.print(f"Looked at {len(nodes)} node{'' if len(nodes) == 1 else 's'}: no fault.")


def _show(nodes: "Sequence[NodeHealth]", findings: Sequence[FindingLine]) -> None:
    if console.width >= _WIDE:
        console.print(nodes_table(nodes))
    else:
        for node in nodes:
            console.print(node_table(node))
    for (level, told), where in _gather(findings).items():
        console.print(f"{level}: {', '.join(where)}: {told}", style=_COLOURS[level], soft_wrap=True)


def _gather(findings: Sequence[FindingLine]) -> dict[tuple[str, str], list[str]]:
    """Return by level and words the nodes of which the same is told, as of all that lack one mount."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in findings:
        found.setdefault((each.level, each.told), []).append(each.where)
    return found


def _fill_node(node: "NodeHealth") -> NodeLine:
    return NodeLine(name=node.name, cpus=node.cpus, gpus=node.gpus, answered=node.answer is not None)


def nodes_table(nodes: "Sequence[NodeHealth]") -> Table:
    """Return what each node is and has, one a line."""
    table = Table(box=box.SIMPLE)
    for name in _COLUMNS:
        table.add_column(name, overflow="fold")
    for node in nodes:
        table.add_row(*_row(node))
    return table


def node_table(node: "NodeHealth") -> Table:
    """Return what a node is and has, a line each, for a terminal without room for all columns."""
    table = Table(box=box.SIMPLE, show_header=False)
    for name, value in zip(_COLUMNS, _row(node), strict=True):
        table.add_row(name, Text(value, overflow="fold"))
    return table


def _row(node: "NodeHealth") -> list[str]:
    if node.answer is None:
        return [node.name, *["?"] * (len(_COLUMNS) - 1)]
    answer, probe = node.answer, node.answer.probe
    gpus = ", ".join(f"{gpu.name} {gpu.memory_gib:.0f} GiB" for gpu in probe.gpus) or "none"
    images = "" if answer.images is None else str(answer.images)
    rooms = (probe.memory_gib, probe.free_disk_gib, answer.temp_free_gib, probe.shared_memory_gib)
    return [
        node.name, *(probe.versions[name] for name in ("Python", "Ray", "torch")), answer.code,
        f"{node.cpus:g}", f"{gpus} (Ray: {node.gpus:g})", *(f"{room:.1f} GiB" for room in rooms), images,
    ]  # fmt: skip
