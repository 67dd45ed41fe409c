"""The mode table: every method on ring8 and grid25, beside PacGAN's figures.

    python -m benchmarks.results.modes [--only TEXT ...] [--seeds N] [--budget-minutes M]

A run is `sngan train --data DATA --method METHOD --seed SEED` with the defaults for points, in one
thread, with all of its files, pictures and records. Its figures are those of 10,000 samples of the
averaged generator. The keys are DATA-METHOD-SEED.
"""

import contextlib
import functools
import io
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from benchmarks.results.records import Cell, Record, main
from benchmarks.results.tables import caption, mean_and_error, table
from sngan import METHODS, Config, data
from sngan import train as train_run
from sngan.config import DataConfig
from sngan.config.io import plain
from sngan.data import Dataset
from sngan.engine.resolve import resolve_config
from sngan.methods import named
from sngan.metrics import mixture_coverage

NAME = "modes"
COMMAND = "python -m benchmarks.results.modes"
DATA = ("ring8", "grid25")
OF_IMAGES = tuple(name for name, method in METHODS.items() if method.image_attention)
"""The methods that refuse points, because their networks have self-attention."""
_SAMPLES = 10_000
_COLUMNS = {
    "modes": (1, ".1f"),
    "high_quality": (100, ".1f"),
    "reverse_kl": (1, ".4f"),
    "smallest_share": (100, ".2f"),
}
"""The figures of a run, with the factor and the format in which the table shows them."""

PUBLISHED = {
    "ring8": {
        "GAN": ("6.3 ± .5", "98.2", ".45"),
        "ALI": ("6.6", "97.6", ".36"),
        "PacGAN2": ("7.9", "95.6", ".07"),
        "PacGAN4": ("7.8", "95.9", ".07"),
    },
    "grid25": {
        "GAN": ("17.3 ± .8", "94.8", ".70"),
        "ALI": ("24.1", "95.7", ".14"),
        "PacGAN2": ("23.8", "91.3", ".13"),
        "PacGAN4": ("24.8 ± .2", "93.6", ".04"),
    },
}
"""Lin et al. 2018, arXiv:1712.04086, Table 1, 10 trials of 400,000 steps of batch 100."""


def cells(seeds: Sequence[int]) -> list[Cell]:
    """The runs: all seeds of `sn` first, then the other methods seed by seed."""
    first = [_cell(name, "sn", seed) for seed in seeds for name in DATA]
    order = dict.fromkeys(["vanilla", "wgan", "wgan-gp", *METHODS])
    others = [name for name in order if name not in ("sn", *OF_IMAGES)]
    return first + [_cell(name, one, seed) for seed in seeds for one in others for name in DATA]


def run(cell: Cell) -> dict[str, Any]:
    """Train with the defaults, and measure samples."""
    torch.set_num_threads(1)
    given = cell.settings
    name = given["data"]
    config = replace(_config(name, given["method"]["name"]), seed=given["seed"])
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        trained = train_run(replace(config, steps=given["steps"], out=f"{folder}/run"))
        samples = trained.generate(_SAMPLES, seed=1)
    return mixture_coverage(samples, data.MIXTURES[name]).to_dict()


def markdown(records: Sequence[Record]) -> str:
    """Both tables as Markdown: mean ± standard error over seeds, then the published rows."""
    return "\n\n".join([*(_table(name, records) for name in DATA), _caption(records)])


def _cell(name: str, method: str, seed: int) -> Cell:
    config = resolve_config(_config(name, method), _dataset(name))
    settings = {
        "data": name,
        "method": {
            key: value
            for key, value in plain(config.method).items()
            if value is not None and key != "paper"
        },
        "model": {"latent_dim": config.model.latent_dim, "width": config.model.width},
        "steps": config.steps,
        "batch_size": config.batch_size,
        "schedule": config.schedule,
        "ema_decay": plain(config.ema_decay),
        "ema_halflife": plain(config.ema_halflife),
        "ema_start": config.ema_start,
        "seed": seed,
    }
    return Cell(f"{name}-{method}-{seed}", settings)


def _config(name: str, method: str) -> Config:
    return Config(data=DataConfig(source=name), method=named(method))


@functools.cache
def _dataset(name: str) -> Dataset:
    return data.open_source(name)


def _table(name: str, records: Sequence[Record]) -> str:
    own = [one for one in records if one.settings["data"] == name]
    total = len(data.MIXTURES[name].centres)
    head = [name, "seeds", f"modes of {total}", "within 3σ, %", "reverse KL",
            "smallest share, %", "CPU s a run"]  # fmt: skip
    rows = []
    for method in dict.fromkeys(["sn", *METHODS]):
        found = [one for one in own if one.settings["method"]["name"] == method]
        if found:
            rows.append([f"`{method}`", *_figures(found)])
    for method, figures in PUBLISHED[name].items():
        rows.append([f"{method}, published", "10", *figures, "–", "–"])
    return table(head, rows)


def _figures(found: Sequence[Record]) -> list[str]:
    figures = [
        mean_and_error([scale * one.result[key] for one in found], spec)
        for key, (scale, spec) in _COLUMNS.items()
    ]
    seconds = mean_and_error([one.cpu_seconds for one in found], ".0f")
    return [str(len(found)), *figures, seconds]


def _caption(records: Sequence[Record]) -> str:
    planned = len(cells(range(10)))
    return caption(records, command=COMMAND, planned=planned)


if __name__ == "__main__":
    main(NAME, cells, run, seeds=10)
