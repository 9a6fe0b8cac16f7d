"""The images that a model does worst and best: image, truth, prediction and a map of the mistakes, side by side.

Which image has which score comes from `error_analysis`; the rest of the page is written in `error_report`.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from segcore.data.classes import VOID
from segcore.data.dataset import decode_case
from segcore.insight.error_analysis import ErrorAnalysis, ImageErrors, predict_image, weakest_class
from segcore.insight.page import Markup, class_legend, element, join, legend, paragraph
from segcore.insight.page_pictures import mask_picture, photo, shrink, shrink_mask
from segcore.scoring.confusion import classify_errors

_EXTREMES: Final = 8
_PICTURE_WIDTH: Final = 360
_WRONG: Final = (255, 190, 30)
_WRONG_SCORED: Final = (220, 30, 30)
_VOID_GREY: Final = 90


def render_error_map(image_HW3: npt.NDArray[np.uint8], errors_HW: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the image in pale grey with its wrong pixels in colour, RGB (H, W, 3); void is dark grey.

    Args:
        image_HW3: RGB, uint8.
        errors_HW: as `classify_errors` returns them.
    """
    grey_HW = 130 + image_HW3.mean(axis=2) * (125 / 255)
    map_HW3 = np.repeat(grey_HW.astype(np.uint8)[..., None], 3, axis=2)
    map_HW3[errors_HW == VOID] = _VOID_GREY
    map_HW3[errors_HW == 1] = _WRONG
    map_HW3[errors_HW == 2] = _WRONG_SCORED
    return map_HW3


def choose_extremes(analysis: ErrorAnalysis, *, worst: bool) -> list[ImageErrors]:
    """Return the images with the lowest or highest scores, most extreme first; none is among both.

    Neighbouring frames fail alike: of the extremes, one of each block is taken first, and more where room is left.
    """
    scored = [(image.score.iou, image) for image in analysis.images if image.score.iou is not None]
    scored.sort(key=lambda pair: (pair[0] if worst else -pair[0], pair[1].case.name))
    near = [image for _, image in scored[: min(3 * _EXTREMES, (len(scored) + worst) // 2)]]
    blocks: set[str] = set()
    firsts: list[str] = []
    others: list[str] = []
    for image in near:
        block = analysis.plan.block_of.get(image.case.name, image.case.name)
        (others if block in blocks else firsts).append(image.case.name)
        blocks.add(block)
    shown = {*[*firsts, *others][:_EXTREMES]}
    return [image for image in near if image.case.name in shown]


def show_images(analysis: ErrorAnalysis, images: list[ImageErrors]) -> Markup:
    """Return images with truth, prediction and error map, after a legend of the colours."""
    errors = [
        (_WRONG_SCORED, "wrong, and the true or the predicted class is scored"),
        (_WRONG, "wrong between other classes"),
        ((_VOID_GREY,) * 3, "void, counts nowhere"),
    ]
    classes = join([paragraph("Classes, scored ones with a star:", "faint"), class_legend(analysis.classes)])
    mistakes = join([paragraph("Error maps:", "faint"), legend(errors)])
    return join([classes, mistakes, *(_show_image(analysis, image) for image in images)])


def _show_image(analysis: ErrorAnalysis, image: ImageErrors) -> Markup:
    classes = analysis.classes
    decoded = decode_case(image.case)
    prediction_HW = predict_image(analysis.ensemble, image.assignment, decoded.image_HW3)
    errors_HW = classify_errors(decoded.mask_HW, prediction_HW, classes)
    error_map_HW3 = render_error_map(shrink(decoded.image_HW3, _PICTURE_WIDTH), shrink_mask(errors_HW, _PICTURE_WIDTH))
    name = image.case.image.name
    figures = [
        photo(decoded.image_HW3, f"{name}: image", _PICTURE_WIDTH),
        mask_picture(decoded.mask_HW, classes, f"{name}: truth", _PICTURE_WIDTH),
        mask_picture(prediction_HW, classes, f"{name}: prediction", _PICTURE_WIDTH),
        photo(error_map_HW3, f"{name}: errors", _PICTURE_WIDTH),
    ]
    place = ", ".join(filter(None, (image.case.group, image.case.condition)))
    said = f"{name}: {image.score.iou or 0:.3f}, weakest in {weakest_class(image, classes)} ({place})"
    return join([element("h3", said), element("div", join(figures), "pictures")])
