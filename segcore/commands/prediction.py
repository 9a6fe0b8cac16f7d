"""Commands on a finished model: predict, tune-predict."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from segcore.commands.console import (
    bring_shown,
    console,
    make_folder,
    print_unread,
    require_all_read,
    show_progress,
)
from segcore.commands.groups import group_of, with_groups
from segcore.commands.options import CPUs, Data, Device, GivenMachine, LayoutName, Model, choose_machine
from segcore.counting import count_words
from segcore.data.classes import ClassTable
from segcore.data.dataset import read_dataset
from segcore.data.decoding import read_size
from segcore.data.listing import list_images
from segcore.data.picture_files import Image, save_png
from segcore.errors import ConfigError, DataError
from segcore.insight.error_analysis import require_same_classes
from segcore.insight.figures import overlay as draw_overlay
from segcore.prediction.ensemble import Ensemble
from segcore.prediction.ensemble_files import load_ensemble, save_options
from segcore.prediction.files import predict_files
from segcore.prediction.held_out import plan_held_out, read_stored_folds
from segcore.prediction.options import PredictOptions, parse_scales, require_effect
from segcore.prediction.training_notes import read_notes
from segcore.prediction.tune import HeldOutImage, choose_images, measure_options, require_known_names
from segcore.prediction.tune_clean import Cleaning, choose_areas
from segcore.prediction.tune_report import describe_options, write_report
from segcore.prediction.tune_ways import (
    Gain,
    Measured,
    choose_best,
    find_current,
    find_pareto,
    measure_gain,
    propose_flips,
    propose_modes,
    propose_scales,
)
from segcore.scoring.mask_files import require_free, save_mask, write_mask_notes
from segcore.scoring.objective import CLASS_PREFIX, METRICS, require_learnt, require_metric


def read_way(
    mode: Annotated[str | None, typer.Option(help="auto, full, resize, tiles or overlap")] = None,
    scale: Annotated[float | None, typer.Option(help="resize: input side per image side")] = None,
    tile_size: Annotated[int | None, typer.Option(help="tiles and overlap: side of a tile, pixels")] = None,
    overlap: Annotated[float | None, typer.Option(help="overlap: share of a tile that the next repeats")] = None,
    flip: Annotated[bool | None, typer.Option("--flip/--no-flip", help="average with the mirrored image")] = None,
    scales: Annotated[str | None, typer.Option(help="sizes to average over, such as 0.75,1,1.25")] = None,
    clean: Annotated[bool, typer.Option(help="remove small components, where tune-predict found that it helps")] = True,
) -> dict[str, object]:
    """Return the fields of `PredictOptions` that the command line gives; what it leaves out is the model's own.

    Raises:
        ConfigError: for a value that no model can predict with, before one is loaded.
    """
    sizes = None if scales is None else parse_scales(scales)
    options = {"mode": mode, "scale": scale, "tile_size": tile_size, "overlap": overlap, "flip": flip, "scales": sizes}
    given: dict[str, object] = {name: value for name, value in options.items() if value is not None}
    PredictOptions.from_values(given)
    return given if clean else {**given, "least_areas": {}}


@with_groups
def predict(
    model: Model,
    images: Annotated[Path, typer.Argument(help="folder of images")],
    out: Annotated[Path, typer.Argument(help="folder for masks/")],
    overlays: Annotated[bool, typer.Option("--overlays", help="draw each mask over its image, too")] = False,
    *,
    way: Annotated[dict[str, object], group_of(read_way)],
    device: Device = "",
    cpus: CPUs = 2,
) -> None:
    """Predict every image of a folder: masks in OUT/masks, as the data has them; drawn over images in OUT/overlays.

    Images that cannot be read are listed at the end, and the command ends with 1.
    Options of the prediction that are not given are those of the model's ensemble.json.
    """
    files = list_images(images)
    parts = ("masks", "overlays") if overlays else ("masks",)
    _refuse_own_folder(images, [out / part for part in parts])
    print_unread(images, apart=[out / part for part in ("masks", "overlays")])
    ensemble = load_ensemble(model, choose_machine(device, cpus)).with_options(way)
    require_effect(way, ensemble.options, ensemble.configs)
    if overlays:
        require_free(out / "overlays", files, out / "masks")
    for part in parts:
        make_folder(out / part)
    write_mask_notes(out / "masks", files, ensemble.classes)

    def save(file: Path, image_HW3: Image, classes_HW: Image) -> None:
        save_mask(classes_HW, out / "masks" / f"{file.stem}.png", ensemble.classes)
        if overlays:
            save_png(draw_overlay(image_HW3, classes_HW, ensemble.classes), out / "overlays" / f"{file.stem}.png")

    with show_progress("predicting") as progress:
        problems = predict_files(ensemble, files, save, progress, writers=cpus)
    console.print(
        f"{count_words(len(files) - len(problems), 'image')}: {', '.join(f'{out}/{part}' for part in parts)}",
        soft_wrap=True,
    )
    require_all_read(problems, len(files))


def _refuse_own_folder(images: Path, results: Sequence[Path]) -> None:
    if images.resolve() in [folder.resolve() for folder in results]:
        raise DataError(f"{images} holds the images, and what is predicted would take their places; give another OUT.")


@with_groups
def tune_predict(
    model: Model,
    data: Data,
    images: Annotated[int, typer.Option(help="predict at most so many images of each fold")] = 50,
    max_ms: Annotated[float | None, typer.Option(help="longest time per image of the whole model")] = None,
    objective: Annotated[
        str, typer.Option(help=f"metric that decides: {', '.join(METRICS)} or {CLASS_PREFIX}CLASS; empty: the model's")
    ] = "",
    layout: LayoutName = "",
    *,
    machine: GivenMachine,
) -> None:
    """Find the mode and the averaging that predict best, and make them the model's own.

    Each image is predicted by the networks that did not train on it.
    The table and a picture of score against time are written into the model's directory.
    """
    if max_ms is not None and not max_ms > 0:
        raise ConfigError(f"--max-ms {max_ms:g}: milliseconds above 0; leave it out where time does not matter.")
    folder = bring_shown(data)
    dataset = read_dataset(folder, layout)
    # Whether small components are removed is asked of the best way alone.
    ensemble = load_ensemble(model, machine).with_options({"least_areas": {}})
    require_same_classes(ensemble, dataset.classes, folder)
    make_folder(model)
    cases, notes = dataset.cases, read_notes(model)
    metric = objective or notes.metric
    require_metric(metric, dataset.classes)
    require_learnt(metric, ensemble.config.labels, dataset.classes)
    stored = read_stored_folds(notes.folds, model)
    if stored is not None:
        cases = require_known_names(cases, stored[0].fold_of)
    plan = plan_held_out(notes, cases, model)
    chosen = choose_images(cases, plan, images)
    measured = _measure_in_stages(ensemble, dataset.classes, chosen, max_ms, metric)
    best = choose_best(measured, max_ms)
    fewer = _measure_fewer_members(ensemble, dataset.classes, chosen, best, metric)
    now = find_current(measured, ensemble.options, ensemble.configs)
    console.print(tune_table(measured, fewer, best, now, metric))
    table, picture = write_report([*measured, *fewer], best, metric, model)
    cleaning = _try_cleaning(ensemble.with_options(best.options.values()), dataset.classes, chosen, metric)
    options = best.options.replaced({"least_areas": cleaning.least_areas if cleaning and cleaning.helps else {}})
    save_options(model, options)
    console.print(_tell_scored(ensemble, chosen, plan.source), soft_wrap=True)
    console.print(f"table:    {table}\npicture:  {picture}", soft_wrap=True)
    if cleaning is not None:
        console.print(_describe_cleaning(cleaning, metric), soft_wrap=True)
    console.print(f"chosen:   {describe_options(options)}; 'predict' uses it from now on", soft_wrap=True)


def _measure_in_stages(
    ensemble: Ensemble, classes: ClassTable, images: Sequence[HeldOutImage], max_ms: float | None, metric: str
) -> list[Measured]:
    largest_side = max(max(read_size(image.case.image)) for image in images)
    configs = ensemble.configs
    modes = _measure("modes", ensemble, classes, images, propose_modes(ensemble.options, configs, largest_side), metric)
    flips = _measure("flips", ensemble, classes, images, propose_flips(modes, configs, max_ms), metric)
    scales = _measure("scales", ensemble, classes, images, propose_scales([*modes, *flips], configs, max_ms), metric)
    return [*modes, *flips, *scales]


def _measure(
    label: str,
    ensemble: Ensemble,
    classes: ClassTable,
    images: Sequence[HeldOutImage],
    proposals: Sequence[PredictOptions],
    metric: str,
) -> list[Measured]:
    with show_progress(label) as progress:
        measured = measure_options(ensemble, classes, images, proposals, progress, metric=metric)
    for options in proposals:
        if options not in [row.options for row in measured]:
            console.print(f"left out, too little memory: {describe_options(options)}", style="yellow")
    return measured


def _measure_fewer_members(
    ensemble: Ensemble, classes: ClassTable, images: Sequence[HeldOutImage], best: Measured, metric: str
) -> list[Measured]:
    fewer = []
    for members in range(1, best.members):
        with show_progress(f"{members} of {best.members} networks of a fold") as progress:
            fewer += measure_options(ensemble, classes, images, [best.options], progress, members, metric=metric)
    return fewer


def _try_cleaning(
    ensemble: Ensemble, classes: ClassTable, images: Sequence[HeldOutImage], metric: str
) -> Cleaning | None:
    with show_progress("small components") as progress:
        return choose_areas(ensemble, classes, images, progress, metric)


def _describe_cleaning(cleaning: Cleaning, metric: str) -> str:
    areas = ", ".join(f"{name} {area}" for name, area in cleaning.least_areas.items())
    told = f"small components: {metric} {cleaning.before:.4f} with all of them"
    if not areas:
        return f"{told}; removing those of any class helps nowhere"
    gain = _describe_gain(cleaning.gain)
    worth = f"{gain} when areas are chosen without the fold that they are scored on"
    done = "these are removed" if cleaning.helps else "none is removed, for this gain may be chance"
    return f"{told}, {cleaning.after:.4f} without those below ({areas} millionths of an image); {worth}: {done}"


def tune_table(
    measured: Sequence[Measured], fewer: Sequence[Measured], best: Measured, now: Measured | None, metric: str
) -> Table:
    """Return each way of predicting with its score, its gain and its time, the fastest first.

    Args:
        measured: the ways, each with all networks of a fold.
        fewer: the best way with fewer networks.
        best: what was chosen.
        now: how the model predicts now; None where that was not measured.
        metric: that decides.
    """
    other = "iou" if metric == "miou" else "miou"
    names = ("", "way", "net-\nworks", metric, "against now", other, "ms per\nimage", "")
    # 80 columns hold it, and no number is cut short.
    table = Table(*names, box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for column in table.columns:
        column.overflow = "fold"
        column.no_wrap = column.header not in ("way", "against now")
    table.columns[1].min_width, table.columns[4].min_width = 10, len("+0.0093 ±")
    front = find_pareto([*measured, *fewer])
    for row in (*sorted(measured, key=lambda row: row.milliseconds), *fewer):
        table.add_row(
            "*" if row is best else "",
            describe_options(row.options) + (" (now)" if row is now else ""),
            str(row.members),
            f"{row.score:.4f}",
            "" if now is None or row is now else _describe_gain(measure_gain(row, now)),
            f"{row.metrics[other]:.4f}" if other in row.metrics else "",
            f"{row.milliseconds:.1f}",
            "Pareto" if row in front else "",
        )
    return table


def _describe_gain(gain: Gain) -> str:
    return f"{gain.score:+.4f} ± {gain.error:.4f}"


def _tell_scored(ensemble: Ensemble, images: Sequence[HeldOutImage], source: str) -> str:
    per_image, all_members = min(len(image.members) for image in images), len(ensemble.members)
    told = f"Scored on {len(images)} images that their networks did not train on (folds {source})."
    if per_image < all_members:
        told += (
            f" The score is that of {per_image} of the {all_members} networks, since the others trained on the image: "
            "the whole model's score cannot be known from these images. The time is that of all networks."
        )
    return told
