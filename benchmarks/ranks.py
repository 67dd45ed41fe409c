"""Seconds of a training step on one process and on several, with whole and with sharded weights.

Each configuration is started again in each round and times its own steps after a few to warm up.
The table shows the best round of each: all ranks wait for the slowest rank, so other jobs on the
machine only make a round slower. CPU seconds are those of the first rank.

    python -m benchmarks.ranks [--ranks N] [--steps N] [--rounds N] [--json FILE]
"""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmarks.common import argument_parser, write_json
from sngan import METHODS, Config, data
from sngan.config import DataConfig, ModelConfig, PerformanceConfig
from sngan.engine import TrainState, train_step
from sngan.engine.fabric import run_on_ranks
from sngan.engine.resolve import resolve_config

if TYPE_CHECKING:
    from lightning_fabric import Fabric

WARM_UP = 5
MODELS = {
    "cnn, width 0.25": ModelConfig(name="cnn", width=0.25),
    "cnn, width 1": ModelConfig(name="cnn", width=1.0),
    "resnet, width 0.25": ModelConfig(name="resnet", width=0.25),
}


def measure(
    fabric: "Fabric", performance: PerformanceConfig, model: ModelConfig, steps: int, file: str
) -> None:
    """Write the seconds of one critic and one generator step of ``sn`` on digits, batch 64."""
    torch.set_num_threads(1)
    method = replace(METHODS["sn"], n_critic=1)
    config = Config(
        data=DataConfig(source="digits"),
        out="unused",
        model=model,
        method=method,
        performance=performance,
    )
    dataset = data.open_source("digits")
    config = resolve_config(config, dataset)
    state = TrainState.build(config, dataset, fabric)
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            wall, cpu = time.perf_counter(), time.process_time()
        train_step(config, state)
    seconds = {
        "wall": (time.perf_counter() - wall) / steps,
        "cpu": (time.process_time() - cpu) / steps,
    }
    if fabric.global_rank == 0:
        Path(file).write_text(json.dumps(seconds))


def main() -> None:
    parser = argument_parser(__doc__, "ranks")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    settings = {
        "1 process": PerformanceConfig(device="cpu"),
        "ddp": PerformanceConfig(device="cpu", devices=arguments.ranks, strategy="ddp"),
        "fsdp": PerformanceConfig(device="cpu", devices=arguments.ranks, strategy="fsdp"),
    }
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    scratch = arguments.json.with_suffix(".round")
    results: dict[str, dict[str, dict[str, float]]] = {}
    print(f"torch {torch.__version__}, {arguments.ranks} ranks; ms a step: wall (CPU of one rank)")
    for name, model in MODELS.items():
        results[name] = {}
        for _ in range(arguments.rounds):
            for kind, performance in settings.items():
                run_on_ranks(
                    performance, measure, performance, model, arguments.steps, str(scratch)
                )
                taken = json.loads(scratch.read_text())
                best = results[name].setdefault(kind, taken)
                results[name][kind] = min(best, taken, key=lambda seconds: seconds["wall"])
        cells = (
            f"{kind} {1000 * taken['wall']:.1f} ({1000 * taken['cpu']:.1f})"
            for kind, taken in results[name].items()
        )
        print(f"{name}: {', '.join(cells)}", flush=True)
    scratch.unlink()
    write_json(results, arguments.json)


if __name__ == "__main__":
    main()
