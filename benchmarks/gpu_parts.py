"""Parts of the GPU check: each returns plain numbers, and runs on the CPU too with tiny sizes."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks import engine
from benchmarks.common import interleaved, medians, synchronized
from benchmarks.results.training import DomainScores, sample
from sngan import data
from sngan.config import Config, DataConfig, ModelConfig, PerformanceConfig
from sngan.engine import TrainState, train_step
from sngan.engine.resolve import resolve_config
from sngan.methods import named
from sngan.metrics.extractors import open_extractor

ROOT = Path(__file__).parents[1]
SIZE, TINY = "resnet 32x32, batch 64, n_critic 5", "resnet 32x32 width 1/16, batch 2, n_critic 5"
_CONTENDERS = ["sngan", "sngan plain", "careful", "common"]
_STEPS_A_CALL = 10
_PAPER_STEPS = 50_000


@dataclass(frozen=True)
class Options:
    """Options of the parts: tiny sizes for the CPU, and the data of the paper's run."""

    dry_run: bool = False
    data: str | None = None
    paper_seconds: float = 75.0

    @property
    def device(self) -> str:
        return "cpu" if self.dry_run else "cuda"

    @property
    def size(self) -> str:
        return TINY if self.dry_run else SIZE


def cuda_tests(options: Options) -> dict[str, Any]:
    """Run the tests marked ``cuda``; without a GPU they are skipped."""
    tests = (ROOT / "tests").rglob("test_*.py")
    marked = [str(path) for path in tests if "pytest.mark.cuda" in path.read_text()]
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", "-m", "cuda"]
    done = subprocess.run(
        [*command, *marked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    lines = (done.stdout or done.stderr).strip().splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    summary = lines[-1] if lines else f"status {done.returncode}"
    if done.returncode:
        raise RuntimeError("; ".join([*failed, summary]))
    return {"summary": summary}


def capture(options: Options) -> dict[str, Any]:
    """Train a few steps as ``sngan train`` does; on a GPU the step must have become one graph."""
    with _sizes():
        config = engine.settings(options.size, device=options.device)
    state = TrainState.build(config, engine.images())
    for _ in range(2 if options.dry_run else 10):
        terms = train_step(config, state)
    is_captured = state.runtime.graph.is_wanted
    if not (is_captured or options.dry_run):
        raise RuntimeError("the step was not captured; the log says why")
    return {"captured": is_captured, "steps": state.step, **_numbers(terms)}


def against_loops(options: Options) -> dict[str, Any]:
    """Steps a second of the engine and of plain loops on the same networks."""
    rounds = 1 if options.dry_run else 100
    names = ["sngan", "common"] if options.dry_run else _CONTENDERS
    with _sizes():
        rows = engine.measure(options.size, device=options.device, rounds=rounds, names=names)
    speeds = {name: 1 / row["wall_seconds"] for name, row in rows.items()}
    ratios = {name: row["wall_ratio"] for name, row in rows.items()}
    return {"size": options.size, "steps_per_second": speeds, "share_of_time": ratios}


def spectral_share(options: Options) -> dict[str, Any]:
    """The share of a step that spectral normalization takes: with it against without."""
    with _sizes():
        config = engine.settings(options.size, device=options.device)
    jobs: dict[str, Callable[[], object]] = {}
    for kind in (None, "matrix") if options.dry_run else (None, "matrix", "operator"):
        one = replace(config, method=replace(config.method, spectral_norm=kind))
        steps = 1 if options.dry_run else _STEPS_A_CALL
        jobs[kind or "none"] = synchronized(_steps(one, steps), options.device)
    # the first calls compile and capture
    taken = interleaved(jobs, rounds=1 if options.dry_run else 12, warm_up=1)
    wall = {name: medians(seconds).wall for name, seconds in taken.items()}
    shares = {name: 1 - wall["none"] / value for name, value in wall.items() if name != "none"}
    return {"size": options.size, "share": shares}


def paper_run(options: Options) -> dict[str, Any]:
    """Train the paper's ResNet on CIFAR-10, as long as the time allows; measure its samples."""
    dataset, held_out = _images(options.data)
    config = Config(
        data=DataConfig(source=dataset.name),
        model=ModelConfig(name="resnet", width=1 / 16 if options.dry_run else 1.0),
        method=named("sn"),
        performance=PerformanceConfig(device=options.device),
        steps=_PAPER_STEPS,
        batch_size=4 if options.dry_run else 64,
        schedule="linear",
    )
    state = TrainState.build(resolve_config(config, dataset), dataset)
    steps, seconds = _train_for(options, config, state)
    result = {
        "data": options.data or "random images, because no data was given",
        "steps": steps,
        "steps_per_second": steps / seconds,
        **_numbers(train_step(config, state)),
    }
    if held_out is None:
        return result
    scores = DomainScores(open_extractor(dataset, "domain"), held_out)
    count = 100 if options.dry_run else 5000
    images = sample(state.average.module, count, latent_dim=config.model.latent_dim)
    return {**result, **scores(images)}


def _train_for(options: Options, config: Config, state: TrainState) -> tuple[int, float]:
    """Train until the time is over; the first steps, which compile and capture, do not count."""
    few = 1 if options.dry_run else 50
    wait = synchronized(_nothing, options.device)

    def train_few() -> None:
        for _ in range(few):
            train_step(config, state)
        wait()

    train_few()
    begun, first = time.perf_counter(), state.step
    while True:
        train_few()
        seconds = time.perf_counter() - begun
        if options.dry_run or seconds > options.paper_seconds:
            return state.step - first, seconds


def _steps(config: Config, count: int) -> Callable[[], None]:
    state = TrainState.build(config, engine.images())

    def run() -> None:
        for _ in range(count):
            train_step(config, state)

    return run


def _images(source: str | None) -> tuple[data.Dataset, data.Dataset | None]:
    """The training images and held-out ones; random images, and none, without a source."""
    if source is None:
        return engine.images(), None
    opened = (data.open_source(source, split=split, resolution=32) for split in ("train", "test"))
    training, held_out = opened
    return training, held_out


def _sizes() -> Any:
    """Know the tiny size too, which no table of ``benchmarks.engine`` should show."""
    return mock.patch.dict(engine.SIZES, {TINY: (1 / 16, 2, 5)})


def _numbers(terms: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in terms.items()}


def _nothing() -> None:
    pass
