"""The price of a proof: exact Wasserstein distances and bounds, their values and times.

Two Gaussian samples, one shifted, of n points each. The truth is SciPy's assignment, an
independent exact solver. POT's default number of iterations stops before the optimum from some
size on, with no more than a warning. With --growth, cost against the number of points.

    python benchmarks/transport.py [--sizes N ...] [--dimension D] [--large N] [--growth]
                                   [--json FILE]
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ot
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

import growth
from sngan.transport import (
    entropic_wasserstein,
    minibatch_wasserstein,
    sliced_wasserstein,
    wasserstein,
)

Array = np.ndarray
Row = dict[str, Any]


def samples(count: int, dimension: int) -> tuple[Array, Array]:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, count, dimension))
    return x, y + 1 / np.sqrt(dimension)


def contenders(x: Array, y: Array) -> dict[str, Callable[[], Row]]:
    """Every way to a distance; each returns its value, and a bracket where it has one."""

    def assignment() -> Row:
        costs = cdist(x, y)
        return {"value": float(costs[linear_sum_assignment(costs)].mean())}

    def pot(**options: int) -> Row:
        uniform = np.full(len(x), 1 / len(x))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            value = ot.emd2(uniform, uniform, cdist(x, y), **options)
        return {"value": float(value), "note": "; ".join(str(w.message)[:44] for w in caught)}

    def bracket(result: Any) -> Row:
        return {"value": result.distance, "lower": result.lower, "upper": result.upper}

    def minibatch() -> Row:
        result = minibatch_wasserstein(x, y, batch_size=256, batches=16)
        return {"value": result.distance, "note": f"± {result.standard_error:.4f}, biased up"}

    return {
        "scipy assignment": assignment,
        "sngan": lambda: bracket(wasserstein(x, y)),
        "sngan, 10^4 pivots": lambda: bracket(wasserstein(x, y, max_iterations=10**4)),
        "POT, 10^8 pivots": lambda: pot(numItermax=10**8),
        "POT, default": pot,
        "POT, 10^4 pivots": lambda: pot(numItermax=10**4),
        "entropic, 50 steps": lambda: bracket(
            entropic_wasserstein(x, y, regularization=0.05, max_iterations=50)
        ),
        "sliced": lambda: sliced(x, y),
        "minibatch": minibatch,
    }


def sliced(x: Array, y: Array) -> Row:
    result = sliced_wasserstein(x, y)
    return {"value": result.distance, "lower": result.lower, "note": "a mean over directions"}


def timed(run: Callable[[], Row]) -> Row:
    start = time.perf_counter()
    return run() | {"seconds": time.perf_counter() - start}


def show(name: str, row: Row, truth: float) -> None:
    lower, upper = (f"{row[end]:.6f}" if end in row else "" for end in ("lower", "upper"))
    error = f"{row['value'] - truth:+.1e}"
    print(
        f"{name:<20} {row['value']:10.6f} {error:>9} {lower:>10} {upper:>10} "
        f"{row['seconds']:8.2f}  {row.get('note', '')}",
        flush=True,
    )


def one_distance(count: int, *, of: Callable[[Array, Array], Any]) -> Callable[[], dict]:
    x, y = samples(count, 8)
    return lambda: {"distance": of(x, y).distance}


def grown() -> list[growth.Series]:
    distances = {
        "exact": (wasserstein, (250, 500, 1000, 2000, 4000, 8000)),
        "entropic, 50 steps": (
            partial(entropic_wasserstein, regularization=0.05, max_iterations=50),
            (250, 500, 1000, 2000, 4000),
        ),
        "sliced": (sliced_wasserstein, (1000, 10_000, 100_000, 1_000_000)),
    }
    return [
        growth.Series(f"{name} against points", partial(one_distance, of=of), sizes)
        for name, (of, sizes) in distances.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[500, 1000, 2000, 4000])
    parser.add_argument("--dimension", type=int, default=8)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/transport.json"))
    arguments = parser.parse_args()
    if arguments.growth:
        write(growth.measure(grown()), arguments.json)
        return
    results: dict[str, dict[str, Row]] = {}
    heading = f"{'':<20} {'W1':>10} {'error':>9} {'lower':>10} {'upper':>10} {'seconds':>8}"
    for count in arguments.sizes:
        print(f"\nn = {count}, {arguments.dimension} dimensions\n{heading}")
        runs = contenders(*samples(count, arguments.dimension))
        rows = {name: timed(run) for name, run in runs.items()}
        for name, row in rows.items():
            show(name, row, rows["scipy assignment"]["value"])
        results[str(count)] = rows
    x, y = samples(arguments.large, arguments.dimension)
    row = timed(lambda: sliced(x, y))
    print(f"\nn = {arguments.large}; the distance of the two distributions is 1\n{heading}")
    show("sliced", row, 1.0)
    results[str(arguments.large)] = {"sliced": row}
    write(results, arguments.json)


def write(results: object, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2))
    print(f"written: {path}")


if __name__ == "__main__":
    main()
