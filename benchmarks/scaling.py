"""Gain and cost of several processes: measured on this CPU over gloo, fitted, and predicted.

1. The bytes of an iteration, counted between two processes, beside the formula's.
2. Seconds of an all-reduce between two processes against its size: latency α, bandwidth β.
3. Seconds of an iteration for some networks, batches and numbers of processes, one thread each;
   if there are more processes than cores, processes share a core (marked).
4. A model of them: compute(b) = fixed + b · per image from one process, and for P of them
   compute(b/P) + messages · α + 2·(P − 1)/P · payload / β, where α and β come from item 2,
   or are fitted to the iterations and then include the time that processes wait for each other.
5. The predictions of the model for GPUs, from assumed figures (see prediction.py). No GPU is
   measured.

    python -m benchmarks.scaling [--rounds N] [--json FILE]
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from scipy.optimize import nnls

from benchmarks import prediction, traffic
from benchmarks.common import argument_parser, write_json
from sngan import Config, data
from sngan.config import ModelConfig, PerformanceConfig
from sngan.distributed import collectives
from sngan.engine import TrainState, train_step
from sngan.engine.fabric import run_on_ranks
from sngan.methods import named

NETWORKS = {
    "cnn, width 1/4": ("cnn", 0.25),
    "cnn": ("cnn", 1.0),
    "resnet, width 1/4": ("resnet", 0.25),
}
BATCHES = (8, 16, 32, 64)
PROCESSES = (1, 2, 4)
MESSAGES = tuple(4**power for power in range(1, 13))
N_CRITIC = 5


@dataclass(frozen=True)
class Point:
    """One measurement: seconds of an iteration of the whole batch."""

    network: str
    batch_size: int
    processes: int
    seconds: float


def settings(network: str, batch_size: int) -> Config:
    name, width = NETWORKS[network]
    return Config(
        out="unused",
        model=ModelConfig(name=name, width=width, sample_shape=(1, 8, 8)),
        method=named("sn", n_critic=N_CRITIC),
        batch_size=batch_size,
    )


def measure_alone(network: str, batch_size: int, rounds: int, fabric: Any = None) -> float:
    """The seconds of the fastest iteration: other jobs only make an iteration slower."""
    config = settings(network, batch_size)
    state = TrainState.build(config, data.open_source("digits"), fabric)
    taken: list[float] = []
    for _ in range(rounds + 2):
        # all start together
        collectives.all_reduce_any(False)
        start = time.perf_counter()
        train_step(config, state)
        taken.append(time.perf_counter() - start)
    return min(taken[2:])


def measure_messages(rounds: int) -> list[dict[str, float]]:
    """Seconds of an all-reduce for each size in bytes."""
    found: list[dict[str, float]] = []
    for size in MESSAGES:
        values, taken = torch.zeros(size // 4), []
        for _ in range(5 * rounds):
            dist.barrier()
            start = time.perf_counter()
            dist.all_reduce(values)
            taken.append(time.perf_counter() - start)
        found.append({"bytes": size, "seconds": statistics.median(taken)})
    return found


def count_bytes(fabric: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for network in NETWORKS:
        config = settings(network, BATCHES[0])
        state = TrainState.build(config, data.open_source("digits"), fabric)
        with traffic.counted([state.generator, state.critic]) as messages:
            train_step(config, state)
            for sizes in messages.values():
                sizes.clear()
            train_step(config, state)
        counts = {
            f"{kind} {what}": value
            for kind, sizes in messages.items()
            for what, value in (("bytes", sum(sizes)), ("messages", len(sizes)))
        }
        rows.append({"network": network, **asdict(traffic.by_formula(config)), **counts})
    return rows


def on_each_rank(fabric: Any, rounds: int, folder: str) -> None:
    """Measure on every process; the first writes the results to a file."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {
        "points": [
            asdict(
                Point(
                    network,
                    batch,
                    collectives.world_size(),
                    measure_alone(network, batch, rounds, fabric),
                )
            )
            for network in NETWORKS
            for batch in BATCHES
        ]
    }
    if collectives.world_size() == 2:
        found |= {"messages": measure_messages(rounds), "bytes": count_bytes(fabric)}
    if collectives.is_rank_zero():
        Path(folder, f"{collectives.world_size()}.json").write_text(json.dumps(found))


def measure(rounds: int) -> dict[str, Any]:
    """Return the points for all numbers of processes, the messages and the bytes of two."""
    with tempfile.TemporaryDirectory() as folder:
        for processes in PROCESSES:
            group = PerformanceConfig(device="cpu", devices=processes, strategy="ddp")
            run_on_ranks(group, on_each_rank, rounds, folder)
        parts = [json.loads(Path(folder, f"{count}.json").read_text()) for count in PROCESSES]
    merged = {key: value for part in parts for key, value in part.items()}
    return merged | {"points": [point for part in parts for point in part["points"]]}


def least_squares(rows: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """Coefficients of least relative error, none below zero."""
    scale = 1 / np.array(values)
    return [float(x) for x in nnls(np.array(rows) * scale[:, None], np.ones(len(values)))[0]]


def fit(found: dict[str, Any]) -> dict[str, Any]:
    """Seconds of compute (fixed, an image); of a message and a byte, alone and in iterations."""
    points = [Point(**point) for point in found["points"]]
    compute = {
        network: least_squares(
            [[1, p.batch_size] for p in points if (p.network, p.processes) == (network, 1)],
            [p.seconds for p in points if (p.network, p.processes) == (network, 1)],
        )
        for network in NETWORKS
    }
    alone = least_squares(
        [[1, row["bytes"]] for row in found["messages"]],
        [row["seconds"] for row in found["messages"]],
    )
    shared = [p for p in points if p.processes == 2]
    costs = [max(p.seconds - computing(compute, p), 1e-6) for p in shared]
    within = least_squares([sent(p) for p in shared], costs)
    return {"compute": compute, "alone": alone, "within": within}


def computing(compute: dict[str, list[float]], point: Point) -> float:
    """Seconds of one process's part; processes that share a core take turns."""
    fixed, per_image = compute[point.network]
    turns = max(1.0, point.processes / (os.cpu_count() or 1))
    return turns * (fixed + per_image * point.batch_size / point.processes)


def sent(point: Point) -> list[float]:
    """Messages, and bytes that each process sends, in an iteration."""
    found = traffic.by_formula(settings(point.network, point.batch_size))
    return [found.messages, traffic.ring(point.processes) * found.payload]


def modelled(fitted: dict[str, Any], point: Point, messages: str) -> float:
    if point.processes == 1:
        return computing(fitted["compute"], point)
    return computing(fitted["compute"], point) + float(np.dot(sent(point), fitted[messages]))


def show_bytes(rows: list[dict[str, Any]]) -> None:
    print("Payload of an iteration, bytes by the formula and counted between 2 processes")
    for row in rows:
        print(
            f"  {row['network']:18}"
            f" gradients {row['gradient_bytes']:11,.0f} {row['gradients bytes']:11,}"
            f" in {row['gradients messages']:3} messages,"
            f" batch norm {row['norm_bytes']:8,.0f} {row['others bytes']:8,}"
            f" in {row['others messages']:3}"
        )


def show_fit(found: dict[str, Any], fitted: dict[str, Any]) -> None:
    print("All-reduce between 2 processes, measured and fitted")
    for row in found["messages"]:
        guess = fitted["alone"][0] + fitted["alone"][1] * row["bytes"]
        print(f"  {row['bytes']:11,} bytes {1e6 * row['seconds']:10.0f} µs {1e6 * guess:10.0f} µs")
    for name, (latency, inverse) in ((key, fitted[key]) for key in ("alone", "within")):
        rate = f"{1e-9 / inverse:.2f} GB/s" if inverse else "too fast to tell"
        print(f"  {name}: α = {1e6 * latency:.0f} µs, β = {rate}")
    print(
        "Iterations: ms measured, and the model's over it with α, β of messages alone, and fitted"
    )
    for point in (Point(**point) for point in found["points"]):
        ratios = [modelled(fitted, point, key) / point.seconds for key in ("alone", "within")]
        shared = ", shared cores" if point.processes > (os.cpu_count() or 1) else ""
        print(
            f"  {point.network:18} batch {point.batch_size:3}, {point.processes} processes"
            f" {1e3 * point.seconds:8.1f} ms {ratios[0]:6.2f} {ratios[1]:6.2f}{shared}"
        )


def main() -> None:
    parser = argument_parser(__doc__, "scaling")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"torch {torch.__version__}, gloo, {os.cpu_count()} cores, load {load:.1f} before")
    found = measure(arguments.rounds)
    fitted = fit(found)
    show_bytes(found["bytes"])
    show_fit(found, fitted)
    predicted = prediction.table()
    prediction.show(predicted)
    results = {"load": load, "measured": found, "fitted": fitted, "predicted": predicted}
    write_json(results, arguments.json)


if __name__ == "__main__":
    main()
