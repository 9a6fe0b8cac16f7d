"""Commands on a finished model: predict."""

from pathlib import Path
from typing import Annotated

import typer

from segcore.commands.console import CPUs, Device, Model, choose_machine, console, show_progress
from segcore.dataset import decode_rgb, list_images
from segcore.ensemble import load_ensemble
from segcore.figures import colour_mask, save_png
from segcore.figures import overlay as draw_overlay
from segcore.predict_options import parse_scales


def predict(
    model: Model,
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
    ensemble = load_ensemble(model, choose_machine(device, cpus)).with_options(given)
    for part in ("masks", "overlays"):
        (out / part).mkdir(parents=True, exist_ok=True)
    with show_progress("predicting") as progress:
        for done, file in enumerate(files, start=1):
            image_HW3 = decode_rgb(file)
            classes_HW = ensemble.predict(image_HW3)
            save_png(colour_mask(classes_HW, ensemble.classes), out / "masks" / f"{file.stem}.png")
            save_png(draw_overlay(image_HW3, classes_HW, ensemble.classes), out / "overlays" / f"{file.stem}.png")
            progress(done, len(files))
    console.print(f"{len(files)} images: {out}/masks, {out}/overlays", soft_wrap=True)
