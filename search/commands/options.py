"""The options of `search launch`: names, types and meaning; their defaults are those of `SearchSettings`."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from search.settings import SearchSettings

DEFAULTS: Final[dict[str, Any]] = {field.name: field.default for field in fields(SearchSettings)}

Storage = Annotated[Path, typer.Option(help="folder of all searches")]
Name = Annotated[str, typer.Argument(help="name of the search")]

Data = Annotated[Path, typer.Option(help="data-set folder, at the same path on every node")]
NewName = Annotated[str, typer.Option(help="name of the search")]
Extra = Annotated[
    list[Path] | None, typer.Option(help="data set to train on too, never validated, such as pseudo labels")
]
Space = Annotated[str, typer.Option(help="street, demo, or package.module:function")]
Trials = Annotated[int, typer.Option(help="configurations to try")]
Epochs = Annotated[int, typer.Option(help="most epochs of a trial")]
GraceEpochs = Annotated[int, typer.Option(help="epochs before ASHA may stop a trial; 0: one of 27")]
ReductionFactor = Annotated[int, typer.Option(help="of so many trials at a rung, one goes on")]
Folds = Annotated[int, typer.Option(help="parts the data is divided into")]
Fold = Annotated[int, typer.Option(help="part that trials are scored on")]
Seed = Annotated[int, typer.Option(help="seed of proposals and trainings")]
Fixed = Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE for every trial")]
SeedConfig = Annotated[
    list[Path] | None, typer.Option(help="configuration to try first: a best.json or TrainConfig values in JSON")
]
WarmStart = Annotated[
    list[str] | None, typer.Option(help="earlier search whose three best configurations are tried first")
]
GPUsPerTrial = Annotated[float, typer.Option(help="0.5 lets two trials share a GPU")]
CPUsPerTrial = Annotated[float, typer.Option(help="processor cores per trial")]
MaxConcurrent = Annotated[int, typer.Option(help="most trials at a time; 0: as many as fit")]
MaxFailures = Annotated[int, typer.Option(help="restarts of a trial whose worker died")]
Objective = Annotated[str, typer.Option(help="iou, or iou,latency_ms to seek what is fast and good")]
MaxLatencyMs = Annotated[float, typer.Option(help="most milliseconds of a prediction at full size; 0: no limit")]
MaxMemoryGib = Annotated[float, typer.Option(help="most GPU memory of it; 0: no limit")]
Confirm = Annotated[int, typer.Option(help="best configurations to train on further folds; 0: none")]
ConfirmFolds = Annotated[int, typer.Option(help="most further folds of them")]
TimeBudget = Annotated[str, typer.Option(help="end the search after 90m, 2h, 1d, ...; 0: never")]
Address = Annotated[str, typer.Option(help="Ray cluster; empty: start a local Ray")]
TrackingURI = Annotated[str, typer.Option(help="MLflow; empty: a file in the storage")]
Cache = Annotated[Path, typer.Option(help="folder of decoded images on each node")]
