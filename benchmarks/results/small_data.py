"""Small data: few Fashion-MNIST images, with and without adaptive augmentation.

The training images are the first of each of three classes: T-shirts, trousers, ankle boots. The
Fréchet distance is that to all test images of these classes, by a classifier that was trained on
all training images. Copying is the mean distance of generated images from their nearest training
image, divided by that of test images: a generator that copies is below 1.

    apt-get install dataset-fashion-mnist
    python -m benchmarks.results.small_data [--only TEXT ...] [--seeds N] [--budget-minutes M]
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.results.records import Cell, Record, main
from benchmarks.results.tables import caption, mean_and_error, table
from benchmarks.results.training import DomainScores, config_of, sample, train_and_measure
from sngan import data
from sngan.engine import TrainState
from sngan.metrics.extractors import Extracted, Extractor, extract, open_extractor
from sngan.metrics.neighbours import nearest_neighbours

NAME = "small-data"
COMMAND = "python -m benchmarks.results.small_data"
SOURCE = "/usr/share/datasets/fashion-mnist"
SIDE = 16
CLASSES = (0, 1, 9)
COUNTS = (100, 400, 1600)
POLICIES = (None, "ada")
SAMPLES = 2000
MARKS = (0.25, 0.5, 0.75, 1.0)


def cells(seeds: Sequence[int]) -> list[Cell]:
    """List the runs: all counts and policies of the first seed come first."""
    return [
        Cell(f"{count}-{policy or 'plain'}-seed{seed}", _settings(count, policy, seed))
        for seed in seeds
        for count in COUNTS
        for policy in POLICIES
    ]


def _settings(count: int, policy: str | None, seed: int) -> dict[str, Any]:
    return {
        "images": count,
        "classes": list(CLASSES),
        "augment": policy,
        "seed": seed,
        "method": "sn",
        "n_critic": 1,
        "lr": 2e-4,
        "betas": [0.5, 0.999],
        "steps": 3000,
        "batch_size": 32,
        "width": 0.25,
        "latent_dim": 64,
        "data": f"Fashion-MNIST {SIDE}x{SIDE}",
        "samples": SAMPLES,
        "ema_decay": 0.99,
        "version": 1,
    }


def run(cell: Cell) -> dict[str, Any]:
    """Train one run; measure distance and copying of the averaged generator at each mark."""
    given = cell.settings
    config = config_of(given, SOURCE)
    held_out, extractor = _data()
    dataset = _first_of_each_class(_train_split(), given["images"], given["classes"])
    scores = DomainScores(extractor, held_out)
    copying = Copying.of(dataset, held_out, extractor)

    def measured(state: TrainState) -> dict[str, Any]:
        images = sample(state.average.module, SAMPLES, latent_dim=given["latent_dim"])
        return {**scores(images), "copying": copying(images)}

    marks = [round(part * given["steps"]) for part in MARKS]
    found = train_and_measure(config, dataset, marks=marks, measure=measured)
    finite = [mark for mark in found if "frechet" in mark]
    best = min(finite, key=lambda mark: mark["frechet"], default={})
    end = {key: found[-1].get(key) for key in ("frechet", "copying")}
    return {**end, "best_frechet": best.get("frechet"), "marks": found}


def markdown(records: Sequence[Record]) -> str:
    """Fréchet distance and copying by the number of images, without and with augmentation."""
    rows = []
    for count in COUNTS:
        for policy in POLICIES:
            found = [
                record.result
                for record in records
                if (record.settings["images"], record.settings["augment"]) == (count, policy)
            ]
            columns = [
                mean_and_error([one[key] for one in found if one[key] is not None], ".2f")
                for key in ("frechet", "best_frechet", "copying")
            ]
            rows.append([f"{count} images, {policy or 'none'}", str(len(found)), *columns])
    head = ["training images, augmentation", "seeds", "Fréchet", "best on the way", "copying"]
    return f"{table(head, rows)}\n\n{caption(records, command=COMMAND)}"


@dataclass(frozen=True)
class Copying:
    """Mean distance to the nearest training image, relative to that of held-out images."""

    extractor: Extractor
    trained: torch.Tensor
    usual: float

    @classmethod
    def of(cls, dataset: data.Dataset, held_out: data.Dataset, extractor: Extractor) -> "Copying":
        """Measure the usual distance with as many held-out images as are generated."""
        trained = _features(extractor, dataset.values(torch.arange(len(dataset))))
        others = held_out.values(torch.arange(min(SAMPLES, len(held_out))))
        return cls(extractor, trained, _distance(_features(extractor, others), trained))

    def __call__(self, images: torch.Tensor) -> float:
        return _distance(_features(self.extractor, images), self.trained) / self.usual


def _features(extractor: Extractor, images: torch.Tensor) -> torch.Tensor:
    found: Extracted = extract(extractor, images)
    return found.features


def _distance(features: torch.Tensor, trained: torch.Tensor) -> float:
    return float(nearest_neighbours(features, trained).distances.mean())


def _first_of_each_class(dataset: data.Dataset, count: int, classes: Sequence[int]) -> data.Dataset:
    """The first images of each class, as many of each, ``count`` in all."""
    assert dataset.labels is not None
    each = [count // len(classes) + (place < count % len(classes)) for place in range(len(classes))]
    rows = torch.cat(
        [
            (dataset.labels == label).nonzero().flatten()[:wanted]
            for label, wanted in zip(classes, each, strict=True)
        ]
    )
    return replace(
        dataset, samples=dataset.samples[rows], labels=dataset.labels[rows], content=None
    )


@functools.cache
def _train_split() -> data.Dataset:
    return data.open_source(SOURCE, resolution=SIDE)


@functools.cache
def _data() -> tuple[data.Dataset, Extractor]:
    """All test images of the classes, and the classifier of all training images."""
    held_out = data.open_source(SOURCE, resolution=SIDE, split="test")
    chosen = _first_of_each_class(held_out, 3000, CLASSES)
    return chosen, open_extractor(_train_split(), "domain")


if __name__ == "__main__":
    main(NAME, cells, run)
