"""What several networks predict of an image that none was trained on, kept small so that weights can be compared.

Where the greatest output of every candidate is the same, it is that of every weighted mean as well: such pixels are
counted once and for all. Only the others, which the candidates dispute, keep their probabilities, at 16 bits and at the
image's original size, so that any weights are scored by the ruler of all trainings. Whose weights are best is found in
`greedy`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from segcore.config import TrainConfig
from segcore.data.caching.cache import PixelCache
from segcore.data.classes import VOID, ClassTable
from segcore.data.labels import build_label_map
from segcore.errors import StorageError
from segcore.machine import Machine
from segcore.networks.model import SegmentationModel
from segcore.prediction.predict import average_probabilities, find_greatest
from segcore.replacing import replacing
from segcore.scoring.metrics import ImageScore, Tally, count_confusion, score_image, tally_score
from segcore.scoring.overlaps import Confusion

MOST_DISPUTED: Final = 1 << 15
"""Disputed pixels of an image that are kept; of more than that a random part stands for all."""

Weights = tuple[int, ...]
"""How often each candidate counts, in their order; 0 leaves it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What may become part of a model: networks that may predict one image.

    Args:
        config: how they were trained.
        networks: whose mean it is, in evaluation mode; several where several left out the image's fold.
    """

    config: TrainConfig
    networks: tuple[SegmentationModel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """What candidates say of one image.

    Args:
        name: the case's name.
        condition: the case's condition.
        agreed_CP: pixels by true and predicted class where all candidates say the same, see `count_confusion`.
        disputed_KOP: probabilities of each candidate and output at the disputed pixels, float16.
        truth_P: class index of those.
        pixels_each: how many disputed pixels each of them stands for, at least 1.
    """

    name: str
    condition: str
    agreed_CP: Confusion
    disputed_KOP: npt.NDArray[np.float16]
    truth_P: npt.NDArray[np.uint8]
    pixels_each: float = 1.0


def collect_votes(
    cache: PixelCache, indices: Sequence[int], candidates: Sequence[Candidate], machine: Machine
) -> Iterator[Votes]:
    """Yield what candidates say of each case.

    Args:
        cache: the decoded data.
        indices: the cases; none of the networks was trained on them.
        candidates: what predicts; all of them learn the same labels.
        machine: where the networks are.
    """
    class_of_output = build_label_map(cache.classes, candidates[0].config.labels).class_of_output
    for index in indices:
        greatest, probabilities = [], []
        for candidate in candidates:
            mean_OHW = average_probabilities(candidate.networks, cache.image_HW3(index), candidate.config, machine)
            greatest.append(find_greatest(mean_OHW).cpu().numpy())
            probabilities.append(mean_OHW.half().cpu().numpy())
        case = cache.cases[index]
        truth_HW = np.array(cache.mask_HW(index))
        found = divide_pixels(np.stack(greatest), np.stack(probabilities), truth_HW, class_of_output, cache.classes)
        yield replace(found, name=case.name, condition=case.condition)


def divide_pixels(
    greatest_KHW: npt.NDArray[np.int64],
    probabilities_KOHW: npt.NDArray[np.float16],
    truth_HW: npt.NDArray[np.uint8],
    class_of_output: npt.NDArray[np.uint8],
    classes: ClassTable,
) -> Votes:
    """Return the votes on an image that has no name yet.

    Args:
        greatest_KHW: output that each candidate finds most probable.
        probabilities_KOHW: of each candidate and output.
        truth_HW: class indices, 255 as void.
        class_of_output: class index of each output.
        classes: the class table of the data.
    """
    agreed_HW = (greatest_KHW == greatest_KHW[0]).all(axis=0)
    truth_where_agreed_HW = torch.from_numpy(np.where(agreed_HW, truth_HW, VOID))
    agreed = count_confusion(truth_where_agreed_HW, torch.from_numpy(class_of_output[greatest_KHW[0]]), len(classes))
    disputed = kept = np.flatnonzero(~agreed_HW & (truth_HW != VOID))
    if len(disputed) > MOST_DISPUTED:
        # Of an image always the same part, so that a run that was interrupted goes on alike.
        kept = np.sort(np.random.default_rng(0).choice(disputed, MOST_DISPUTED, replace=False))
    return Votes(
        name="",
        condition="",
        agreed_CP=agreed.numpy(),
        disputed_KOP=probabilities_KOHW.reshape(*probabilities_KOHW.shape[:2], -1)[..., kept],
        truth_P=truth_HW.reshape(-1)[kept],
        pixels_each=len(disputed) / len(kept) if len(kept) else 1.0,
    )


def score_votes(
    votes: Votes, weights: Weights, class_of_output: npt.NDArray[np.uint8], classes: ClassTable
) -> ImageScore:
    """Return the score of an image when its candidates count by weights."""
    used = [position for position, weight in enumerate(weights) if weight]
    total_OP = np.zeros(votes.disputed_KOP.shape[1:], np.float32)
    for position in used:
        total_OP += np.float32(weights[position]) * votes.disputed_KOP[position]
    predicted_P = class_of_output[total_OP.argmax(axis=0)]
    disputed = count_confusion(torch.from_numpy(votes.truth_P), torch.from_numpy(predicted_P), len(classes)).numpy()
    if votes.pixels_each > 1:
        disputed = np.rint(disputed * votes.pixels_each).astype(np.int64)
    return score_image(votes.name, votes.condition, votes.agreed_CP + disputed, classes)


def write_votes(votes: Votes, file: Path) -> None:
    """Write the votes on an image so that the file is there whole or not at all.

    Raises:
        StorageError: when it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary, temporary.open("wb") as stream:
            np.savez(
                stream,
                agreed=votes.agreed_CP,
                disputed=votes.disputed_KOP,
                truth=votes.truth_P,
                pixels_each=np.float64(votes.pixels_each),
                told=np.array([votes.name, votes.condition]),
            )
    except OSError as error:
        raise StorageError(f"{file} cannot be written ({error}); make room there.") from error


def read_votes(file: Path) -> Votes:
    """Read what `write_votes` wrote.

    Raises:
        StorageError: when it cannot be read.
    """
    try:
        with np.load(file, allow_pickle=False) as content:
            name, condition = map(str, content["told"])
            votes = Votes(
                name=name,
                condition=condition,
                agreed_CP=content["agreed"],
                disputed_KOP=content["disputed"],
                truth_P=content["truth"],
                pixels_each=float(content["pixels_each"]),
            )
        _require_whole(votes)
    # numpy and zipfile raise errors of many types for a damaged file.
    except Exception as error:
        raise StorageError(f"{file} cannot be read ({error}); delete it, and it is made anew.") from error
    return votes


def _require_whole(votes: Votes) -> None:
    """Raise `ValueError` where arrays are not of the kinds and sizes that belong together."""
    agreed_CP, disputed_KOP, truth_P = votes.agreed_CP, votes.disputed_KOP, votes.truth_P
    kinds = (agreed_CP.dtype.kind, disputed_KOP.dtype.kind, truth_P.dtype.name)
    dimensions = (agreed_CP.ndim, disputed_KOP.ndim, truth_P.ndim)
    if kinds != ("i", "f", "uint8") or dimensions != (2, 3, 1):
        raise ValueError("its arrays are of other kinds")
    classes, columns = agreed_CP.shape
    if columns != classes + 1 or disputed_KOP.shape[2] != len(truth_P) or not 1 <= votes.pixels_each < math.inf:
        raise ValueError("its arrays do not belong together")
    if any(index >= classes and index != VOID for index in np.unique(truth_P)):
        raise ValueError(f"its truth has other classes than {classes}")


def reduce_weights(weights: Weights) -> Weights:
    """Return the smallest whole numbers that mean the same."""
    divisor = math.gcd(*weights) or 1
    return tuple(weight // divisor for weight in weights)


class Ballot:
    """The votes on many images, scored for as many weights as anybody asks; each once.

    Args:
        files: of the votes on each image.
        labels: what the candidates learn, full or scored.
        classes: the class table of the data.
    """

    def __init__(self, files: Sequence[Path], labels: str, classes: ClassTable) -> None:
        self._files = tuple(files)
        self._class_of_output = build_label_map(classes, "full" if labels == "full" else "scored").class_of_output
        self._classes = classes
        self._known: dict[Weights, tuple[Tally, ...]] = {}

    def score(self, wanted: Sequence[Weights]) -> list[tuple[Tally, ...]]:
        """Return for each of several weights the counts of all images; every file is read once for all of them."""
        reduced = [reduce_weights(weights) for weights in wanted]
        new = [weights for weights in dict.fromkeys(reduced) if weights not in self._known]
        if new:
            columns: list[list[Tally]] = [[] for _ in new]
            for file in self._files:
                votes = read_votes(file)
                for weights, column in zip(new, columns, strict=True):
                    column.append(tally_score(score_votes(votes, weights, self._class_of_output, self._classes)))
            self._known |= {weights: tuple(column) for weights, column in zip(new, columns, strict=True)}
        return [self._known[weights] for weights in reduced]
