"""Stacked digits: how many of 1,000 modes methods cover within 10 CPU minutes, and the divergence.

A sample belongs to the number that a classifier of single digits reads in its three channels
(Metz et al. 2016, arXiv:1611.02163). 5,000 real samples show about 992 of the numbers.

    python -m benchmarks.results.stacked [--only TEXT ...] [--seeds N] [--budget-minutes M]
"""

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from benchmarks.results.records import Cell, Record, main
from benchmarks.results.tables import caption, mean_and_error, table
from benchmarks.results.training import config_of, sample, train_and_measure
from sngan import data
from sngan.engine import TrainState
from sngan.metrics import class_coverage
from sngan.metrics.extractors import Extractor, extract, open_domain

NAME = "stacked"
COMMAND = "python -m benchmarks.results.stacked"
SOURCE = "stacked-digits"
SAMPLES = 5000
STEPS = 10_000
MARKS = (0.25, 0.5, 1.0)
COMMON = {"n_critic": 1, "lr": 1e-3, "betas": [0.0, 0.9]}
VARIANTS: dict[str, dict[str, Any]] = {
    "sn": {"method": "sn", **COMMON},
    "sn-operator": {"method": "sn-operator", **COMMON},
    "vanilla": {"method": "vanilla", **COMMON},
    "r3gan": {"method": "r3gan", **COMMON},
    "sn, pack 2": {"method": "sn", "pack": 2, **COMMON},
    "vanilla, pack 2": {"method": "vanilla", "pack": 2, **COMMON},
}


def cells(seeds: Sequence[int]) -> list[Cell]:
    """List the runs: all variants of the first seed come first."""
    return [
        Cell(f"{name.replace(', ', '-').replace(' ', '')}-seed{seed}", _settings(name, seed))
        for seed in seeds
        for name in VARIANTS
    ]


def _settings(name: str, seed: int) -> dict[str, Any]:
    return {
        "name": name,
        "seed": seed,
        **VARIANTS[name],
        "steps": STEPS,
        "batch_size": 64,
        "width": 0.5,
        "latent_dim": 64,
        "schedule": "linear",
        "ema_decay": 0.999,
        "samples": SAMPLES,
        "version": 1,
    }


def run(cell: Cell) -> dict[str, Any]:
    """Train one run; count the modes of the averaged generator at each mark."""
    given = cell.settings
    dataset, extractor = _data()
    config = config_of(given, SOURCE)

    def measured(state: TrainState) -> dict[str, Any]:
        mean, now = state.average.module, state.generator.module
        return {**_modes(mean, given, extractor), "without_average": _modes(now, given, extractor)}

    marks = [round(part * given["steps"]) for part in MARKS]
    found = train_and_measure(config, dataset, marks=marks, measure=measured)
    return {
        "modes": found[-1].get("modes"),
        "kl": found[-1].get("kl"),
        "marks": found,
        "real": dict(zip(("modes", "kl"), _coverage(_some(dataset), extractor), strict=True)),
        "accuracy": extractor.accuracy,
    }


def markdown(records: Sequence[Record]) -> str:
    """Modes and divergence of each variant, at the end and on the way."""
    rows = []
    for name in VARIANTS:
        found = [record for record in records if record.settings["name"] == name]
        if not found:
            rows.append([name, "not measured yet", *["–"] * 6])
            continue
        results = [record.result for record in found]
        ends = [result for result in results if result["modes"] is not None]
        modes = [
            mean_and_error(
                [one["marks"][index]["modes"] for one in ends if len(one["marks"]) > index], ".1f"
            )
            for index in range(len(MARKS))
        ]
        worst = min((result["modes"] for result in ends), default=None)
        minutes = mean_and_error([record.cpu_seconds / 60 for record in found], ".1f")
        rows.append(
            [name, str(len(found)), *modes, str(worst or "–"),
             mean_and_error([result["kl"] for result in ends], ".3f"), minutes]
        )  # fmt: skip
    real = records[0].result["real"]
    rows.append(["5,000 real samples", "", "", "", str(real["modes"]), "", f"{real['kl']:.3f}", ""])
    head = ["", "seeds", "modes at 1/4", "at 1/2", "at the end", "worst seed", "KL", "CPU minutes"]
    accuracy = records[0].result["accuracy"]
    return "\n\n".join(
        [
            table(head, rows),
            f"The classifier reads whole stacks of real images with an accuracy of {accuracy:.1%}. "
            + caption(records, command=COMMAND),
        ]
    )


def _modes(generator: nn.Module, given: dict[str, Any], extractor: Extractor) -> dict[str, Any]:
    images = sample(generator, given["samples"], latent_dim=given["latent_dim"])
    covered, divergence = _coverage(images, extractor)
    return {"modes": covered, "kl": divergence}


def _coverage(images: torch.Tensor, extractor: Extractor) -> tuple[int, float]:
    logits = extract(extractor, images).logits
    assert logits is not None
    found = class_coverage(logits.argmax(1), torch.ones(1000))
    return found.covered, found.divergence


def _some(dataset: data.Dataset) -> torch.Tensor:
    """As many real samples as a generator is asked for, chosen by a fixed seed."""
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))
    return dataset.values(order[:SAMPLES])


@functools.cache
def _data() -> tuple[data.Dataset, Extractor]:
    dataset = data.open_source(SOURCE)
    return dataset, open_domain(dataset)


if __name__ == "__main__":
    main(NAME, cells, run)
