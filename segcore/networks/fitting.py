"""Which tensors of a file a network takes: all of the encoder's, and the decoder's and the head's where they are alike.

Reading the file lives in `weight_files`.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from segcore.networks.weight_files import Tensors

_DECODER: Final = "decoder."
_HEAD: Final = "segmentation_head."
_UNCOUNTED: Final = "num_batches_tracked"
_AVERAGED: Final = re.compile(r"(?:^|[._])(?:ema|mean_model|teacher)(?:$|[._])")
"""Where a program keeps the running mean of its weights, which is what it validates."""

_SWAPPED: Final = ("ema_state_dict", "steps")
"""Where mmengine keeps the last weights, since it saves the running mean as if it were them, and what tells it."""

_WHOLE_VALUES: Final = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
"""Of fewer bits they are multiples of a scale that stands elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What a network takes of a file.

    Args:
        tensors: what it takes, by its own names.
        names: the file's names of them.
        total: tensors of the network in the file.
        lacking: the encoder's names that the file lacks.
        unlike: what has another shape or other numbers in the file, of the encoder.
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

    def rank(place: str) -> tuple[int, bool, bool]:
        is_swapped = place == _SWAPPED[0] and _SWAPPED[1] in networks[place]
        return len(found[place]), not is_swapped and _AVERAGED.search(place) is not None, not is_swapped

    found = {place: find_fitting(tensors, encoder) for place, tensors in networks.items()}
    taken = max(networks, key=rank)
    rivals = [repr(place) for place in networks if place != taken and 0 < len(found[place]) == len(found[taken])]
    fit = _fit(networks[taken], wanted, encoder, beginning)
    told = f"taken under {taken!r}, and not under {', '.join(rivals)}"
    return replace(fit, notes=(told, *fit.notes)) if rivals else fit


def find_fitting(theirs: Collection[str], wanted: Collection[str]) -> dict[str, str]:
    """Return the file's names of what is wanted, by the wanted names, wherever in a larger network they stand.

    Names may all begin alike (`module.`, `backbone.`, `model.encoder.`): the beginning counts after which most names
    are wanted, of equal ones that of a running mean (`ema_model.`), else the shorter.

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
    preferred = sorted(found, key=lambda start: (_AVERAGED.search(start) is None, len(start)))
    return max((found[start] for start in preferred), key=len, default={})


def needs_scale(there: Tensor, here: Tensor) -> bool:
    """Say whether a tensor's numbers are multiples of a scale that stands elsewhere, as quantised weights are."""
    return here.is_floating_point() and there.dtype not in _WHOLE_VALUES


def _fit(theirs: Tensors, wanted: Tensors, encoder: Sequence[str], beginning: str) -> Fit:
    names = {beginning + own: name for own, name in find_fitting(theirs, encoder).items()}
    lacking = [own for own in encoder if beginning + own not in names and not own.endswith(_UNCOUNTED)]
    differing = {own: _tell_difference(theirs[name], wanted[own]) for own, name in names.items()}
    unlike = [f"{own.removeprefix(beginning)} is {told}" for own, told in differing.items() if told]
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
    return not any(_tell_difference(theirs[name], wanted[own]) for own, name in names.items())


def _describe_head(head: Mapping[str, str], theirs: Tensors, wanted: Tensors) -> str:
    own = f"{_HEAD}0.bias"
    if own not in head or own not in wanted:
        return "another there"
    return f"{len(theirs[head[own]])} classes there, {len(wanted[own])} here"


def _tell_difference(there: Tensor, here: Tensor) -> str:
    """Say what keeps a tensor of a file from being copied value by value, or nothing."""
    if there.shape != here.shape:
        return f"{_shape(there)} there, {_shape(here)} here"
    if there.is_meta or there.layout != torch.strided:
        return f"stored without its values there ({'meta' if there.is_meta else _name(there.layout)})"
    if needs_scale(there, here):
        return f"{_name(there.dtype)} there, {_name(here.dtype)} here, and of what scale is not known"
    return ""


def _name(of: torch.dtype | torch.layout) -> str:
    return str(of).removeprefix("torch.")


def _shape(tensor: Tensor) -> str:
    return "x".join(str(length) for length in tensor.shape) or "a number"
