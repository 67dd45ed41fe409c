"""Gallery: the best run that two cores make in three hours, on Fashion-MNIST and CIFAR-10.

Each run is an ordinary `sngan train` in a folder of its own below ``--runs``. A call that is
stopped by Ctrl-C leaves a checkpoint, and the next call resumes the run. At the end its samples,
its curves and the verdict of `sngan doctor` are kept.

    apt-get install dataset-fashion-mnist
    CIFAR10=FOLDER_OF_PARQUET_FILES python -m benchmarks.results.gallery [--only fashion-mnist]
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.results.records import FOLDER, Cell, Record, Skipped, main
from benchmarks.results.tables import caption, table
from benchmarks.results.training import NOISE_SEED, DomainScores
from sngan import data, load
from sngan.metrics.extractors import open_extractor
from sngan.runs.layout import RunFolder
from sngan.runs.records import iter_records
from sngan.utils.plotting import BLUE, ORANGE, new_figure, save_figure, thin_grid

NAME = "gallery"
COMMAND = "python -m benchmarks.results.gallery"
RUNS = Path("runs/gallery")
SIDE = 32
SAMPLES, SHOWN = 5000, 100
SOURCES = {
    "fashion-mnist": "/usr/share/datasets/fashion-mnist",
    "cifar10": os.environ.get("CIFAR10", ""),
}
_POINTS = 60


def cells(seeds: Sequence[int]) -> list[Cell]:
    """List the two runs; each has one seed."""
    return [Cell(name, _settings(name)) for name in SOURCES]


def _settings(name: str) -> dict[str, Any]:
    return {
        "data": f"{name} {SIDE}x{SIDE}",
        "name": name,
        "seed": 0,
        "train": {
            "method": "sn",
            "model": "cnn",
            "width": 0.5,
            "steps": 50_000,
            "batch_size": 32,
            "n_critic": 1,
            "lr": 2e-4,
            "betas": "[0.5,0.999]",
            "schedule": "linear",
            "flip": name == "cifar10",
            "evaluation.every": 2500,
            "evaluation.samples": 2000,
        },
        "version": 1,
    }


def run(cell: Cell) -> dict[str, Any]:
    """Train or go on training; then measure samples on the test images, and ask the doctor."""
    name = cell.settings["name"]
    source = SOURCES[name]
    if not source:
        raise Skipped("the environment variable CIFAR10 names no folder of its Parquet files")
    folder = RunFolder(RUNS / name)
    flags = [f"{key}={value}" for key, value in cell.settings["train"].items()]
    train = ["--data", source, "--out", str(folder.path), "--set", f"resolution={SIDE}", *flags]
    _sngan("train", *train, *(["--resume"] if folder.has_checkpoint() else []))
    pictures = FOLDER / NAME
    pictures.mkdir(parents=True, exist_ok=True)
    picture = pictures / f"{name}.png"
    _sngan("generate", str(folder.path), "--n", str(SHOWN), "--out", str(picture))
    curves = [
        {"step": record["step"], "frechet": record["evaluation"]["frechet"]}
        for record in iter_records(folder.path)
        if record.get("evaluation")
    ]
    return {
        **_scores(source, folder.path),
        "curve": curves[:: max(1, len(curves) // _POINTS)],
        "doctor": _verdict(folder.path),
    }


def markdown(records: Sequence[Record]) -> str:
    """The scores, the pictures, the curves and the doctor's findings of each run."""
    rows = [
        [
            record.settings["data"],
            f"{record.result['frechet']:.2f}",
            f"{record.result['inception_score']:.2f}",
            f"{record.settings['train']['steps']:,}",
            f"{record.cpu_seconds / 60:.0f}",
        ]
        for record in records
    ]
    head = ["", "Fréchet", "domain Inception Score", "steps", "CPU minutes of the last call"]
    shown = [
        f"{record.settings['data']}:\n\n![samples](results/gallery-{record.key}.png)\n\n"
        f"`sngan doctor`: {record.result['doctor'] or 'not asked, this version has none'}"
        for record in records
    ]
    curves = "![Fréchet distance along the runs](results/gallery-curves.png)"
    return "\n\n".join([table(head, rows), *shown, curves, caption(records, command=COMMAND)])


def draw(records: Sequence[Record], folder: Path) -> None:
    """Copy the samples, and draw the Fréchet distance along the runs."""
    figure = new_figure(7.0, 3.5, dpi=100)
    axes = figure.add_subplot(yscale="log", xlabel="generator steps", ylabel="Fréchet distance")
    for record, colour in zip(records, (BLUE, ORANGE), strict=False):
        curve = record.result["curve"]
        steps, distances = ([point[key] for point in curve] for key in ("step", "frechet"))
        axes.plot(steps, distances, color=colour, label=record.settings["data"])
        picture = (FOLDER / NAME / f"{record.key}.png").read_bytes()
        (folder / f"gallery-{record.key}.png").write_bytes(picture)
    axes.legend(frameon=False)
    thin_grid(axes)
    save_figure(figure, folder / "gallery-curves.png")


def _sngan(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "sngan", *arguments], check=True)


def _scores(source: str, folder: Path) -> dict[str, float]:
    """Both scores of samples against the test images, by a classifier of the training images."""
    train, test = (
        data.open_source(source, split=one, resolution=SIDE) for one in ("train", "test")
    )
    images = load(folder).generate(SAMPLES, seed=NOISE_SEED)
    return DomainScores(open_extractor(train, "domain"), test)(images)


def _verdict(folder: Path) -> str | None:
    """The findings of ``sngan doctor`` on one line; ``None`` if this version has no doctor."""
    command = [sys.executable, "-m", "sngan", "doctor", str(folder), "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    found = json.loads(done.stdout)
    conditions = (f"{one['name']} since step {one['since']:,}" for one in found["findings"])
    return "; ".join([found["verdict"], *conditions])


if __name__ == "__main__":
    main(NAME, cells, run, seeds=1)
