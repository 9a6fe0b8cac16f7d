"""A search of hundreds of trials on many workers, as its journals would hold it: ASHA is the project's own, and what
trainings reach is drawn. No clock is read, so the same arguments give the same files.
"""

import heapq
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from search.folder import SearchFolder, StageFolder
from search.judge.asha import Asha
from search.judge.progress import build_asha
from search.memory.events import (
    Asked,
    CheckpointSaved,
    Closed,
    Ended,
    Epoch,
    Event,
    Halted,
    Opened,
    Reopened,
    Started,
    encode_event,
)
from search.memory.outcome import Outcome
from search.place import build_place, write_place
from search.settings import SearchSettings, build_settings, write_settings
from search.verdict.selection import choose_candidates
from segcore.config import TrainConfig
from segcore.data.dividing.split import FoldSplit, write_folds

BEGIN = 1_790_000_000.0
CLASSES = {"car": 1.2, "pedestrian": 0.8, "lane": 1.0, "signal": 0.6, "sky": 1.3, "building": 1.15}
CONDITIONS = {"day": 1.05, "morning": 1.0, "night": 0.82}
BACKBONES = {"resnet18": 0.0, "resnet34": 0.03, "resnet50": 0.05, "tf_efficientnetv2_s": 0.07}
LOSSES = {"ce": 0.0, "jaccard": 0.01, "focal": -0.02, "ce+jaccard": 0.025}


@dataclass(slots=True, kw_only=True)
class Simulation:
    """A search that is being simulated.

    Args:
        settings: of the search.
        workers: that train at once.
        draw: all that is left to chance.
        asha: decides who goes on.
    """

    settings: SearchSettings
    workers: int
    draw: random.Random
    asha: Asha
    events: list[Event] = field(default_factory=list)
    drawn: dict[int, dict[str, Any]] = field(default_factory=dict)
    reached: dict[int, int] = field(default_factory=dict)
    steps: list[tuple[float, int, int]] = field(default_factory=list)
    winner: int = 0

    def run(self) -> list[Event]:
        """Return the events of the whole search, in order."""
        self._write(Opened(cache_key="key", time=BEGIN))
        idle = [(BEGIN + worker, worker) for worker in range(self.workers)]
        while idle or self.steps:
            idle = [worker for worker in idle if not self._begin(*worker)]
            if not self.steps:
                break
            now, worker, trial = heapq.heappop(self.steps)
            idle += [(now, worker)] if self._train(now, worker, trial) else []
            # Who waits for work sees what became free meanwhile.
            idle = [(max(since, now), each) for since, each in idle]
        self._write(Halted(time=self.events[-1].time))
        return self.events

    def _begin(self, now: float, worker: int) -> bool:
        """Let a worker begin what is next; say whether there is anything."""
        trial = self._next(now)
        if trial is not None:
            self._write(Started(trial=trial, time=now))
            heapq.heappush(self.steps, (now + 2 + self._pace(trial), worker, trial))
        return trial is not None

    def _train(self, now: float, worker: int, trial: int) -> bool:
        """Report the epoch that a worker has just trained; say whether the trial leaves it."""
        values, epoch = self.drawn[trial], self.reached[trial] + 1
        luck = random.Random(1000 * trial + epoch)
        if luck.random() < 0.004:
            lost = luck.choice((Outcome.DIVERGED, Outcome.FAILED))
            message = {Outcome.FAILED: "the worker died", Outcome.DIVERGED: "the loss is NaN"}[lost]
            self._write(Ended(trial=trial, outcome=lost, message=message, time=now))
            return True
        metrics = self._score(values, epoch, luck, self._pace(trial))
        verdict = self.asha.decide(trial, epoch, metrics["iou"]) if epoch < self.settings.epochs else ""
        self._write(Epoch(trial=trial, epoch=epoch, metrics=metrics, verdict=verdict, time=now))
        self._write(CheckpointSaved(trial=trial, epoch=epoch, path=f"ray/{trial}/{epoch}", time=now))
        self.reached[trial] = epoch
        if verdict or epoch == self.settings.epochs:
            outcome = Outcome.STOPPED if verdict else Outcome.FINISHED
            self._write(Ended(trial=trial, outcome=outcome, time=now))
            return True
        heapq.heappush(self.steps, (now + self._pace(trial), worker, trial))
        return False

    def _pace(self, trial: int) -> float:
        return float(40 * self.drawn[trial]["crop_size"] / 512 * random.Random(trial).uniform(0.8, 1.2))

    def _next(self, now: float) -> int | None:
        last = len(self.drawn) == self.settings.trials
        waiting = self.asha.find_promoted(last=last)
        if waiting is not None:
            self._write(Reopened(trial=waiting, time=now))
            return waiting
        if last:
            return None
        trial, params = len(self.drawn), self._draw_params()
        values = TrainConfig.from_values({**params, "epochs": self.settings.epochs, "seed": trial}).values()
        self.drawn[trial], self.reached[trial] = values, 0
        self._write(Asked(trial=trial, fold=0, values=values, params=params, time=now))
        return trial

    def _draw_params(self) -> dict[str, Any]:
        draw = self.draw
        params: dict[str, Any] = {
            "backbone": draw.choice(list(BACKBONES)),
            "loss": draw.choice(list(LOSSES)),
            "input_mode": draw.choice(("crop", "crop", "full")),
            "learning_rate": 10 ** draw.uniform(-4, -2.3),
            "weight_decay": 10 ** draw.uniform(-5, -2),
            "batch_size": draw.choice((4, 8, 16)),
            "augmentation": draw.choice(("flip", "light", "strong")),
        }
        return params | ({"crop_size": draw.choice((256, 512, 768))} if params["input_mode"] == "crop" else {})

    def _score(self, values: Mapping[str, Any], epoch: int, luck: random.Random, seconds: float) -> dict[str, float]:
        rate = -0.05 * (math.log10(values["learning_rate"]) + 3) ** 2
        high = 0.58 + BACKBONES[values["backbone"]] + LOSSES[values["loss"]] + rate
        high -= 0.04 * (values["input_mode"] == "full")
        iou = high * (1 - math.exp(-epoch / 5)) + luck.gauss(0, 0.008)
        parts = {f"iou/{name}": min(0.99, max(0.0, iou * share)) for name, share in CLASSES.items()}
        parts |= {f"iou_at/{name}": min(0.99, max(0.0, iou * share)) for name, share in CONDITIONS.items()}
        told = {"train_loss": 1 - iou, "seconds": seconds, "latency_ms": 20 + 200 * BACKBONES[values["backbone"]]}
        return {"iou": iou, "miou": 0.9 * iou, **parts, **told}

    def _write(self, event: Event) -> None:
        self.events.append(event)
        self.asha.apply(event)

    def train_again(self, source: int | None, fold: int, number: int, begin: float) -> list[Event]:
        """Return the events of a training of the confirmation or the retraining.

        Args:
            source: the search's trial; None: as the retraining has it.
            fold: it is scored on.
            number: of the training.
            begin: seconds since the Unix epoch.
        """
        values = self.drawn[source if source is not None else self.winner]
        events: list[Event] = [Asked(trial=number, fold=fold, values=values, params={}, source=source, time=begin)]
        for epoch in range(1, self.settings.epochs + 1):
            luck = random.Random(f"{source} {fold} {epoch}")
            metrics, now = self._score(values, epoch, luck, 40), begin + 40 * epoch
            shift = {name: value - 0.01 * fold for name, value in metrics.items() if name.startswith("iou")}
            of_image = {f"image_{fold}_{place}": shift["iou"] + luck.gauss(0, 0.1) for place in range(20)}
            scores = {name: value - sum(of_image.values()) / 20 + shift["iou"] for name, value in of_image.items()}
            last = scores if epoch == self.settings.epochs else None
            events.append(Epoch(trial=number, epoch=epoch, metrics={**metrics, **shift}, image_scores=last, time=now))
        return [*events, Ended(trial=number, outcome=Outcome.FINISHED, time=events[-1].time)]


def simulate_search(
    storage: Path, *, trials: int = 500, workers: int = 16, finish: bool = True, name: str = "simulated", seed: int = 0
) -> SearchFolder:
    """Write a whole search and return its folder.

    Args:
        storage: folder of all searches.
        trials: of the search.
        workers: that train at once.
        finish: whether it was confirmed and retrained, too.
        name: of the search.
        seed: of all that is left to chance.
    """
    folder = SearchFolder(root=storage / name)
    folder.root.mkdir(parents=True)
    settings = build_settings(
        {"name": name, "search_id": name, "objective": "iou", "trials": trials, "epochs": 27, "folds": 4, "seed": seed}
    )
    write_settings(settings, folder.settings)
    place = build_place({"data": storage / "data", "storage": storage, "gpus_per_trial": 1, "home": folder.root})
    write_place(place, folder.place)
    names = {f"image_{fold}_{number}": fold for fold in range(4) for number in range(20)}
    blocks = {each: f"drive/{each.rpartition('_')[0]}/{number // 2}" for number, each in enumerate(names)}
    write_folds(FoldSplit(folds=4, fold_of=dict(names), block_of=blocks), folder.folds)
    simulation = Simulation(settings=settings, workers=workers, draw=random.Random(seed), asha=build_asha(settings))
    events = _draw_picture(simulation.run(), folder.search_stage)
    _write_events(events, folder.search_stage)
    if finish:
        _finish(simulation, folder)
    return folder


def _finish(simulation: Simulation, folder: SearchFolder) -> None:
    from search.insight.record import read_record

    settings, end = simulation.settings, simulation.events[-1].time
    candidates = choose_candidates(read_record(folder).history, settings)
    events: list[Event] = [Opened(cache_key="key", time=end)]
    for number, (trial, fold) in enumerate((trial.number, fold) for fold in (1, 2) for trial in candidates):
        events += simulation.train_again(trial, fold, number, end + 1200 * (number // 3))
    _write_events([*events, Halted(time=events[-1].time)], folder.confirm_stage)
    best = read_record(folder).best
    assert best is not None
    simulation.winner = best.trial
    events = [Opened(cache_key="key", time=end)]
    for fold in range(settings.folds):
        events += simulation.train_again(None, fold, fold, end)
    finals = [event.metrics for event in events if isinstance(event, Epoch) and event.epoch == settings.epochs]
    pooled = {key: sum(metrics[key] for metrics in finals) / len(finals) for key in finals[0]}
    _write_events([*events, Closed(metrics=pooled, note="", time=events[-1].time)], folder.retrain_stage)


def _draw_picture(events: list[Event], stage: StageFolder) -> list[Event]:
    """Return the events with a picture at the last epoch of each trial; one file is that of all."""
    picture = stage.trial(0) / "epoch_0001.jpg"
    picture.parent.mkdir(parents=True)
    Image.effect_noise((960, 213), 60).convert("RGB").save(picture, quality=80)
    last = {event.trial: event for event in events if isinstance(event, Epoch)}
    shown = {id(event): replace(event, picture=stage.relative(picture)) for event in last.values()}
    return [shown.get(id(event), event) for event in events]


def _write_events(events: list[Event], stage: StageFolder) -> None:
    stage.root.mkdir(parents=True, exist_ok=True)
    lines = (encode_event(event) for event in sorted(events, key=lambda event: event.time))
    stage.journal.write_bytes(b"".join(line + b"\n" for line in lines))
