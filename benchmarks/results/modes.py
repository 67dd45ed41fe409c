"""The mode table: every method on ring8 and grid25, beside PacGAN's figures.

    python -m benchmarks.results.modes [--only TEXT ...] [--seeds N] [--budget-minutes M]

A run is `sngan train --data DATA --method METHOD --seed SEED` with the defaults for points, in one
thread, with all of its files, pictures and records. Its figures are those of 10,000 samples of the
averaged generator. The keys are DATA-METHOD-SEED.
"""

import contextlib
import io
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from statistics import mean, stdev
from typing import Any

import torch

from benchmarks.results.records import Cell, Record, main
from sngan import METHODS, Config, data
from sngan import train as train_run
from sngan.config import DataConfig
from sngan.methods import named
from sngan.metrics import mixture_coverage

NAME = "modes"
DATA = ("ring8", "grid25")
FIGURES = ("modes", "high_quality", "reverse_kl", "smallest_share")
_SAMPLES = 10_000
_FIRST = ("sn", "vanilla", "wgan", "wgan-gp")

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
    others = [name for name in dict.fromkeys([*_FIRST, *METHODS]) if name != "sn"]
    return first + [_cell(name, one, seed) for seed in seeds for one in others for name in DATA]


def run(cell: Cell) -> dict[str, Any]:
    """Train with the defaults, and measure samples."""
    torch.set_num_threads(1)
    name, seed = cell.settings["data"], cell.settings["seed"]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        config = replace(_config(name, cell.settings["method"]["name"]), seed=seed)
        samples = train_run(replace(config, out=f"{folder}/run")).generate(_SAMPLES, seed=1)
    return mixture_coverage(samples, data.MIXTURES[name]).to_dict()


def markdown(records: Sequence[Record]) -> str:
    """Both tables as Markdown: mean ± standard error over seeds, then the published rows."""
    return "\n\n".join(_table(name, records) for name in DATA)


def _cell(name: str, method: str, seed: int) -> Cell:
    config = _config(name, method).for_points
    settings = {
        "data": name,
        "method": {key: _listed(value) for key, value in asdict(config.method).items()},
        "model": {"latent_dim": config.model.latent_dim, "width": config.model.width},
        "steps": config.steps,
        "batch_size": config.batch_size,
        "schedule": config.schedule,
        "ema_decay": config.ema_decay,
        "ema_start": config.ema_start,
        "seed": seed,
    }
    return Cell(f"{name}-{method}-{seed}", settings)


def _config(name: str, method: str) -> Config:
    return Config(data=DataConfig(source=name), method=named(method))


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _table(name: str, records: Sequence[Record]) -> str:
    own = [one for one in records if one.settings["data"] == name]
    total = len(data.MIXTURES[name].centres)
    lines = [
        f"| {name} | seeds | modes of {total} | within 3σ, % | reverse KL | smallest share, % "
        "| CPU s a run |",
        "|---|---|---|---|---|---|---|",
    ]
    for method in dict.fromkeys(["sn", *METHODS]):
        found = [one for one in own if one.settings["method"]["name"] == method]
        if found:
            lines.append(_row(method, found))
    published = "Lin et al. 2018"
    for method, (modes, quality, divergence) in PUBLISHED[name].items():
        lines.append(f"| {method}, {published} | 10 | {modes} | {quality} | {divergence} | – | – |")
    return "\n".join(lines)


def _row(method: str, found: Sequence[Record]) -> str:
    scales = {"modes": 1, "high_quality": 100, "reverse_kl": 1, "smallest_share": 100}
    columns = {key: [one.result[key] * scale for one in found] for key, scale in scales.items()}
    cells = [_with_error(values) for values in columns.values()]
    cpu = f"{mean(one.cpu_seconds for one in found):.0f}"
    return f"| `{method}` | {' | '.join([str(len(found)), *cells, cpu])} |"


def _with_error(values: Sequence[float]) -> str:
    """The mean and its standard error, which needs two values."""
    if len(values) < 2:
        return f"{values[0]:.3g}"
    return f"{mean(values):.3g} ± {stdev(values) / len(values) ** 0.5:.2g}"


if __name__ == "__main__":
    main(NAME, cells, run, seeds=10)
