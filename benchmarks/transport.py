"""Wasserstein distances and bounds: values, errors and times of exact and approximate methods.

The data are two Gaussian samples of n points each; one is shifted. The truth is SciPy's assignment,
an independent exact solver. For large samples POT's default number of iterations ends before the
optimum, with only a warning. --growth measures the cost for a growing number of points.

    python -m benchmarks.transport [--sizes N ...] [--dimension D] [--large N] [--growth]
                                   [--json FILE]
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import ot
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from benchmarks import growth
from benchmarks.common import Table, argument_parser, timed, write_json
from sngan.transport import (
    entropic_wasserstein,
    minibatch_wasserstein,
    sliced_wasserstein,
    wasserstein,
)

Array = np.ndarray
Row = dict[str, Any]


TABLE = Table(
    "",
    20,
    [
        *(("W1", "10.6f"), ("error", "+9.1e"), ("lower", "10.6f"), ("upper", "10.6f")),
        ("seconds", "8.2f"),
    ],
)


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


def with_seconds(run: Callable[[], Row]) -> Row:
    row, seconds = timed(run)
    return row | {"seconds": seconds.wall}


def show(name: str, row: Row, truth: float) -> None:
    error = row["value"] - truth
    cells = (row["value"], error, row.get("lower"), row.get("upper"), row["seconds"])
    print(f"{TABLE.line(name, *cells)}  {row.get('note', '')}", flush=True)


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
    parser = argument_parser(__doc__, "transport")
    parser.add_argument("--sizes", type=int, nargs="*", default=[500, 1000, 2000, 4000])
    parser.add_argument("--dimension", type=int, default=8)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--growth", action="store_true")
    arguments = parser.parse_args()
    if arguments.growth:
        write_json(growth.measure(grown()), arguments.json)
        return
    results: dict[str, dict[str, Row]] = {}
    for count in arguments.sizes:
        print(f"\nn = {count}, {arguments.dimension} dimensions\n{TABLE.head()}")
        runs = contenders(*samples(count, arguments.dimension))
        rows = {name: with_seconds(run) for name, run in runs.items()}
        for name, row in rows.items():
            show(name, row, rows["scipy assignment"]["value"])
        results[str(count)] = rows
    x, y = samples(arguments.large, arguments.dimension)
    row = with_seconds(lambda: sliced(x, y))
    print(f"\nn = {arguments.large}; the distance of the two distributions is 1\n{TABLE.head()}")
    show("sliced", row, 1.0)
    results[str(arguments.large)] = {"sliced": row}
    write_json(results, arguments.json)


if __name__ == "__main__":
    main()
