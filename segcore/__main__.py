"""`python -m segcore`: check, fields, train, predict, submit, score, streets; the only place that prints or exits."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from segcore.cache import PixelCache, prepare_cache
from segcore.cache import Progress as ProgressCall
from segcore.check import DataReport, inspect_dataset
from segcore.classes import CONTEST_CLASSES, ClassTable, read_class_table
from segcore.config import TrainConfig, describe_fields
from segcore.dataset import decode_rgb, list_images, read_dataset
from segcore.ensemble import load_ensemble, save_ensemble
from segcore.errors import StreetError
from segcore.figures import colour_mask, save_png
from segcore.figures import overlay as draw_overlay
from segcore.folds import make_folds
from segcore.labels import build_label_map
from segcore.machine import Machine, detect_machine, require_device
from segcore.predict_options import parse_scales
from segcore.scoring import read_colour_masks, score_masks
from segcore.state import TrainState, load_state, new_state, save_state
from segcore.submission import write_submission
from segcore.synthetic import write_streets
from segcore.train import EpochResult, train_epochs

app = typer.Typer(
    help="One segmentation training: check the data, train a fold, predict, score.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()

Data = Annotated[Path, typer.Argument(help="data-set folder")]
Folds = Annotated[int, typer.Option(help="parts the data is divided into")]
Device = Annotated[str, typer.Option(help="cpu, cuda:0, ...; empty: a GPU when there is one")]
CPUs = Annotated[int, typer.Option(help="processor cores to use")]


@app.command()
def check(data: Data, folds: Folds = 7) -> None:
    """Say what is in a data set, and everything that is wrong with it; exit 2 when something is."""
    with _progress("decoding") as progress:
        report = inspect_dataset(data, folds, progress)
    _print_report(report)
    if report.problems:
        _fail(f"{len(report.problems)} problem(s):\n" + "\n".join(f"  - {line}" for line in report.problems))
    console.print("No problem found.", style="green")


@app.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="folder of the checkpoint and the model; a training there goes on")],
    assignments: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of a TrainConfig field")] = None,
    fold: Annotated[int, typer.Option(help="part to validate on")] = 0,
    folds: Folds = 7,
    device: Device = "",
    cpus: CPUs = 2,
    cache: Annotated[Path, typer.Option(help="folder of decoded images")] = Path("~/.cache/street-search"),
) -> None:
    """Train one fold and write the model; killed, it goes on after its last epoch when started again."""
    config = TrainConfig.from_assignments(tuple(assignments or ()))
    machine = _machine(device, cpus)
    with _progress("decoding") as progress:
        pixels = PixelCache(prepare_cache(read_dataset(data), cache.expanduser(), progress))
    train_indices, valid_indices = make_folds(read_dataset(data).cases, folds).split(pixels.names, fold)
    out.mkdir(parents=True, exist_ok=True)
    state = _start(out / "state.pt", config, pixels.classes, machine)
    with _progress("training", total=config.epochs, done=state.epoch) as progress:
        for result in train_epochs(state, pixels, train_indices, valid_indices, machine):
            save_state(state, out / "state.pt")
            console.print(_describe(result), soft_wrap=True)
            progress(result.epoch, config.epochs)
    notes = {"fold": fold, "folds": folds, "ious": state.ious}
    save_ensemble(
        out / "model", iter([state.final_model.state_dict()]), config=config, classes=pixels.classes, notes=notes
    )
    console.print(f"model: {out / 'model'}", soft_wrap=True)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="model directory")],
    images: Annotated[Path, typer.Argument(help="folder of images")],
    out: Annotated[Path, typer.Argument(help="folder for masks/ and overlays/")],
    mode: Annotated[str | None, typer.Option(help="auto, full, resize, tiles or overlap")] = None,
    scale: Annotated[float | None, typer.Option(help="resize: input side per image side")] = None,
    tile_size: Annotated[int | None, typer.Option(help="tiles and overlap: side of a tile, pixels")] = None,
    overlap: Annotated[float | None, typer.Option(help="overlap: share of a tile that the next repeats")] = None,
    flip: Annotated[bool | None, typer.Option("--flip/--no-flip", help="average with the mirrored image")] = None,
    scales: Annotated[str | None, typer.Option(help="sizes to average over, such as 0.75,1,1.25")] = None,
    device: Device = "",
    cpus: CPUs = 2,
) -> None:
    """Predict every image of a folder: colour masks in OUT/masks, masks over images in OUT/overlays.

    Options of the prediction that are not given are those of the model's ensemble.json.
    """
    sizes = None if scales is None else parse_scales(scales)
    options = {"mode": mode, "scale": scale, "tile_size": tile_size, "overlap": overlap, "flip": flip, "scales": sizes}
    given = {name: value for name, value in options.items() if value is not None}
    files = list_images(images)
    ensemble = load_ensemble(model, _machine(device, cpus)).with_options(given)
    for part in ("masks", "overlays"):
        (out / part).mkdir(parents=True, exist_ok=True)
    with _progress("predicting") as progress:
        for done, file in enumerate(files, start=1):
            image_HW3 = decode_rgb(file)
            classes_HW = ensemble.predict(image_HW3)
            save_png(colour_mask(classes_HW, ensemble.classes), out / "masks" / f"{file.stem}.png")
            save_png(draw_overlay(image_HW3, classes_HW, ensemble.classes), out / "overlays" / f"{file.stem}.png")
            progress(done, len(files))
    console.print(f"{len(files)} images: {out}/masks, {out}/overlays", soft_wrap=True)


@app.command()
def submit(
    masks: Annotated[Path, typer.Argument(help="folder of colour masks, as predict writes them")],
    out: Annotated[Path, typer.Argument(help="file to write, .json")],
    data: Annotated[Path | None, typer.Option(help="data set whose classes count; empty: the contest's")] = None,
) -> None:
    """Write masks as the contest's submission JSON."""
    table = CONTEST_CLASSES if data is None else read_class_table(data)
    named = ((f"{name}.jpg", mask_HW) for name, mask_HW in read_colour_masks(masks, table))
    write_submission(named, out, table)
    console.print(f"written to {out}", soft_wrap=True)


@app.command()
def score(
    truth: Annotated[Path, typer.Argument(help="data-set folder with the truth")],
    masks: Annotated[Path, typer.Argument(help="folder of colour masks, or a submission file")],
) -> None:
    """Score masks or a submission file against the truth, as the contest does."""
    result = score_masks(truth, masks)
    table = Table(box=box.SIMPLE, show_header=False)
    for name, value in result.metrics.items():
        table.add_row(name, f"{value:.4f}")
    console.print(table)
    console.print(f"{result.images} images scored")
    if result.missing:
        console.print(f"{len(result.missing)} without a mask, {result.missing[0]} first", style="yellow")


@app.command()
def fields() -> None:
    """List every choice of a training: what --set and a search space may name."""
    table = Table("field", "default", "allowed", "meaning", box=box.SIMPLE)
    table.columns[0].no_wrap = True
    for row in describe_fields():
        table.add_row(*row)
    console.print(table)


@app.command()
def streets(
    out: Annotated[Path, typer.Argument(help="empty folder for the data set")],
    cases: Annotated[int, typer.Option(help="labelled images")] = 96,
    height: Annotated[int, typer.Option(help="pixels")] = 128,
    width: Annotated[int, typer.Option(help="pixels")] = 192,
    test_cases: Annotated[int, typer.Option(help="images without labels")] = 8,
    seed: Annotated[int, typer.Option(help="another seed draws other streets")] = 0,
) -> None:
    """Draw the demo's street scenes in the contest's layout."""
    write_streets(out, cases=cases, height=height, width=width, seed=seed, test_cases=test_cases)
    console.print(f"{cases} labelled and {test_cases} other street scenes in {out}", soft_wrap=True)


def _machine(device: str, cpus: int) -> Machine:
    found = detect_machine(cpus)
    machine = Machine(device=device, loader_workers=found.loader_workers) if device else found
    require_device(machine)
    return machine


def _start(file: Path, config: TrainConfig, classes: ClassTable, machine: Machine) -> TrainState:
    if file.exists():
        state = load_state(file, config, machine)
        console.print(f"going on after epoch {state.epoch}")
        return state
    return new_state(config, build_label_map(classes, config.labels).outputs, machine)


def _describe(result: EpochResult) -> str:
    shown = {name: value for name, value in result.metrics.items() if "/" not in name}
    scores = "  ".join(f"{name} {value:.4f}" for name, value in shown.items())
    seconds = result.train_seconds + result.validation_seconds
    return f"epoch {result.epoch}: loss {result.train_loss:.4f}  {scores}  {seconds:.1f} s"


def _print_report(report: DataReport) -> None:
    console.print(f"{report.cases} usable cases, {len(report.classes)} classes")
    console.print("sizes: " + ", ".join(f"{width}x{height}: {n}" for (height, width), n in report.sizes.items()))
    strata = Table("route", "time of day", "cases", box=box.SIMPLE)
    for (route, timeofday), cases in report.strata.items():
        strata.add_row(route, timeofday, str(cases))
    classes = Table("class", "pixels", "share", "images", "scored", box=box.SIMPLE)
    total = max(1, sum(report.pixels_of_class.values()))
    for name, pixels in report.pixels_of_class.items():
        scored = "yes" if name in report.classes.scored else ""
        classes.add_row(name, str(pixels), f"{pixels / total:.2%}", str(report.images_of_class[name]), scored)
    console.print(strata, classes)
    _print_folds(report)
    for twins in report.twins:
        console.print(f"the same image: {', '.join(twins)}", style="yellow")


def _print_folds(report: DataReport) -> None:
    if report.split is None or report.leakage is None:
        return
    folds = list(report.split.fold_of.values())
    console.print(f"folds: {', '.join(str(folds.count(fold)) for fold in range(report.split.folds))} cases")
    console.print(
        f"leakage: {report.leakage.divided_blocks} blocks divided; {report.leakage.divided_neighbours} of "
        f"{report.leakage.neighbours} neighbouring frames stand in two folds, at the seams of blocks"
    )


@contextmanager
def _progress(label: str, total: int | None = None, done: int = 0) -> Iterator[ProgressCall]:
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=total, completed=done)
        yield lambda completed, total: bar.update(task, completed=completed, total=total)


def _fail(message: str) -> None:
    Console(stderr=True).print(message, style="red", soft_wrap=True, markup=False, highlight=False)
    raise SystemExit(2)


def main() -> None:
    """Run the command line; a mistake of the user ends in a message, never in a traceback."""
    try:
        app()
    except StreetError as error:
        _fail(str(error))


if __name__ == "__main__":
    main()
