"""Which tensors of a file a network takes: all of the encoder's, and the decoder's and the head's where they are alike.

Reading the file lives in `weight_files`.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from segcore.networks.weight_files import Tensors

_DECODER: Final = "decoder."
_HEAD: Final = "segmentation_head."
_UNCOUNTED: Final = "num_batches_tracked"
_AVERAGED: Final = re.compile(r"(?:^|[._])(?:ema|mean_model|teacher)(?:$|[._])")
"""Where a program keeps the running mean of its weights, which is what it validates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What a network takes of a file.

    Args:
        tensors: what it takes, by its own names.
        names: the file's names of them.
        total: tensors of the network in the file.
        lacking: the encoder's names that the file lacks.
        unlike: what has another shape in the file, of the encoder.
        notes: what of the file is not taken and why, a line each.
    """

    tensors: dict[str, Tensor]
    names: dict[str, str]
    total: int
    lacking: tuple[str, ...]
    unlike: tuple[str, ...]
    notes: tuple[str, ...]


def fit_network(networks: Mapping[str, Tensors], wanted: Tensors, beginning: str) -> Fit:
    """Choose the network of a file that fills most of an encoder, a running mean before others, and fit it.

    Args:
        networks: names and tensors of a file, by where they stand in it.
        wanted: the network's own names and tensors, of which only shapes are used.
        beginning: of the encoder's names.
    """
    encoder = [name.removeprefix(beginning) for name in wanted if name.startswith(beginning)]

    def rank(place: str) -> tuple[int, bool]:
        return len(find_fitting(networks[place], encoder)), _AVERAGED.search(place) is not None

    return _fit(networks[max(networks, key=rank)], wanted, encoder, beginning)


def find_fitting(theirs: Collection[str], wanted: Collection[str]) -> dict[str, str]:
    """Return the file's names of what is wanted, by the wanted names, wherever in a larger network they stand.

    Names may all begin alike (`module.`, `backbone.`, `model.encoder.`): the beginning counts after which most names
    are wanted, of equal ones the shorter.

    Args:
        theirs: a file's names.
        wanted: names of a part of the network.
    """
    known = frozenset(wanted)
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for name in theirs:
        parts = name.split(".")
        for start in range(len(parts)):
            rest = ".".join(parts[start:])
            # A feature extractor may flatten names: stages.0 -> stages_0.
            for own in (rest, re.sub(r"^(\w+)\.(\d+)\.", r"\1_\2.", rest)):
                if own in known:
                    found[".".join(parts[:start])][own] = name
    return max((found[start] for start in sorted(found, key=len)), key=len, default={})


def _fit(theirs: Tensors, wanted: Tensors, encoder: Sequence[str], beginning: str) -> Fit:
    names = {beginning + own: name for own, name in find_fitting(theirs, encoder).items()}
    lacking = [own for own in encoder if beginning + own not in names and not own.endswith(_UNCOUNTED)]
    unlike = [
        f"{own.removeprefix(beginning)} is {_shape(theirs[name])} there, {_shape(wanted[own])} here"
        for own, name in names.items()
        if theirs[name].shape != wanted[own].shape
    ]
    more, notes = _fit_rest(theirs, wanted, beginning)
    names |= more
    left = [name for name in theirs if name not in set(names.values())]
    if left:
        notes = (*notes, f"{len(left)} not taken, {min(left)!r} first")
    return Fit(
        tensors={own: theirs[name] for own, name in names.items()},
        names=names,
        total=len(theirs),
        lacking=tuple(lacking),
        unlike=tuple(unlike),
        notes=notes,
    )


def _fit_rest(theirs: Tensors, wanted: Tensors, beginning: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the file's names of decoder and head as far as they are alike, and why the rest is not taken."""
    rest = [own for own in wanted if not own.startswith(beginning)]
    found = find_fitting(theirs, rest)
    decoder = {own: name for own, name in found.items() if own.startswith(_DECODER)}
    if not decoder or not _is_same_decoder(decoder, theirs, wanted):
        return {}, ("no decoder like this one is there: it starts anew",)
    head = {own: name for own, name in found.items() if own.startswith(_HEAD)}
    if len(head) == sum(own.startswith(_HEAD) for own in rest) and _are_alike(head, theirs, wanted):
        return decoder | head, ()
    return decoder, (f"head: {_describe_head(head, theirs, wanted)}: it starts anew",)


def _is_same_decoder(decoder: Mapping[str, str], theirs: Tensors, wanted: Tensors) -> bool:
    lacking = [own for own in wanted if own.startswith(_DECODER) and own not in decoder]
    own, name = next(iter(decoder.items()))
    beginning = name.removesuffix(own) + _DECODER
    used = set(decoder.values())
    surplus = [name for name in theirs if name.startswith(beginning) and name not in used]
    counted = [name for name in (*lacking, *surplus) if not name.endswith(_UNCOUNTED)]
    return not counted and _are_alike(decoder, theirs, wanted)


def _are_alike(names: Mapping[str, str], theirs: Tensors, wanted: Tensors) -> bool:
    return all(theirs[name].shape == wanted[own].shape for own, name in names.items())


def _describe_head(head: Mapping[str, str], theirs: Tensors, wanted: Tensors) -> str:
    own = f"{_HEAD}0.bias"
    if own not in head or own not in wanted:
        return "another there"
    return f"{len(theirs[head[own]])} classes there, {len(wanted[own])} here"


def _shape(tensor: Tensor) -> str:
    return "x".join(str(length) for length in tensor.shape) or "a number"
