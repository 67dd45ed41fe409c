"""Seconds and peak memory of every metric of the evaluation, beside its direct form.

The data are two Gaussian samples of n feature vectors each, one of them shifted. Each measurement
runs in a process of its own, so that its peak memory is its own: the growth after the features are
made. The direct forms hold all n² distances or kernels at once, and the square root of a matrix;
they are left out where that takes more than ``--limit`` GiB. Torch chooses the number of threads.

    python -m benchmarks.metrics [--sizes N ...] [--dimensions D ...] [--large N] [--growth]
                                 [--json FILE]

``--large 50000`` adds the metrics of manifolds at that size. --growth measures the cost for a
growing number of samples and for a growing dimension of the features, on one thread.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.linalg
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from benchmarks import growth
from benchmarks.common import (
    Table,
    argument_parser,
    in_new_process,
    peak_mebibytes,
    timed,
    write_json,
)
from sngan.metrics import (
    copying_ratio,
    frechet_distance,
    kernel_distance,
    manifold,
)
from sngan.transport import sliced_wasserstein

Metric = Callable[[Tensor, Tensor], float]


def features(count: int, dimension: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, count, dimension, generator=generator)
    return x + dimension**-0.5, y


def direct_frechet(x: Tensor, y: Tensor) -> float:
    left, right = (np.cov(z.double().numpy().T) for z in (x, y))
    root = scipy.linalg.sqrtm(left @ right)
    shift = float((x.double().mean(0) - y.double().mean(0)).square().sum())
    return shift + float(np.trace(left) + np.trace(right) - 2 * np.trace(root).real)


def direct_kernel(x: Tensor, y: Tensor) -> float:
    x, y = x.double(), y.double()

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    within = [(k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in (kernel(x, x), kernel(y, y))]
    return float(sum(within) - 2 * kernel(x, y).mean())


def direct_manifold(x: Tensor, y: Tensor) -> float:
    """Precision; the other three come from the same matrices."""
    left, right = x.double().numpy(), y.double().numpy()
    between = cdist(left, right)
    radii = np.sort(cdist(right, right), axis=1)
    reach = np.sort(cdist(left, left), axis=1)[:, 3]
    recall = (between <= reach[:, None]).any(axis=0).mean()
    density = (between <= radii[:, 5]).sum(axis=1).mean() / 5
    coverage = (between <= radii[:, 5]).any(axis=0).mean()
    assert np.isfinite([recall, density, coverage]).all()
    return float((between <= radii[:, 3]).any(axis=1).mean())


def direct_copying(x: Tensor, y: Tensor) -> float:
    left, right = x.double().numpy(), y.double().numpy()
    among = np.sort(cdist(right, right), axis=1)[:, 1]
    middle = (len(left) - 1) // 2  # as torch's median of an even number
    return float(np.sort(cdist(left, right).min(axis=1))[middle] / np.sort(among)[middle])


# each: ours, the direct form, and how many n² float64 matrices that holds at once
METRICS: dict[str, tuple[Metric, Metric | None, int]] = {
    "frechet": (frechet_distance, direct_frechet, 0),
    "kernel": (lambda x, y: kernel_distance(x, y).distance, direct_kernel, 3),
    "manifold": (lambda x, y: manifold(x, y).precision, direct_manifold, 4),
    "copying": (copying_ratio, direct_copying, 3),
    "sliced_w1": (lambda x, y: sliced_wasserstein(x, y).distance, None, 0),
}


TABLE = Table(
    "metric",
    10,
    [
        *(("samples", "7,"), ("dim", "5"), ("value", "12.6g"), ("s", "8.2f"), ("MiB", "7.0f")),
        *(("s", "10.2f"), ("MiB", "7.0f"), ("rel.diff", "9.1e")),
    ],
)


def measure(name: str, form: int, count: int, dimension: int) -> dict[str, float]:
    """Value, seconds, and growth of the peak memory in MiB, in this process."""
    metric = METRICS[name][form]
    assert callable(metric)
    x, y = features(count, dimension)
    metric(x[:20, :4], y[:20, :4])  # imports and libraries
    before = peak_mebibytes()
    value, seconds = timed(lambda: metric(x, y))
    return {"value": value, "seconds": seconds.wall, "mebibytes": peak_mebibytes() - before}


def row(name: str, count: int, dimension: int, limit: float) -> dict[str, Any]:
    ours = in_new_process(measure, name, 0, count, dimension)
    _, direct, matrices = METRICS[name]
    fits = 8 * matrices * count**2 < limit * 2**30
    return {
        "metric": name,
        "samples": count,
        "dimension": dimension,
        "ours": ours,
        "direct": in_new_process(measure, name, 1, count, dimension) if direct and fits else None,
    }


def of_samples(count: int, *, name: str) -> Callable[[], dict]:
    x, y = features(count, 64)
    return lambda: {"value": METRICS[name][0](x, y)}


def of_dimension(dimension: int, *, name: str) -> Callable[[], dict]:
    x, y = features(2000, dimension)
    return lambda: {"value": METRICS[name][0](x, y)}


def grown() -> list[growth.Series]:
    axes = {
        "samples, 64 features": (of_samples, (1000, 2000, 4000, 8000, 16_000)),
        "features, 2,000 samples": (of_dimension, (64, 128, 256, 512, 1024, 2048)),
    }
    return [
        growth.Series(f"{name} against {axis}", partial(of, name=name), sizes)
        for axis, (of, sizes) in axes.items()
        for name in ("frechet", "kernel", "manifold")
    ]


def show(found: dict[str, Any]) -> None:
    ours, direct = found["ours"], found["direct"]
    cells = [found["samples"], found["dimension"], *ours.values(), None, None, None]
    if direct is not None:
        difference = abs(ours["value"] - direct["value"]) / max(1e-300, abs(direct["value"]))
        cells[5:] = [direct["seconds"], direct["mebibytes"], difference]
    print(TABLE.line(found["metric"], *cells), flush=True)


def main() -> None:
    parser = argument_parser(__doc__, "metrics")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 5000, 10_000])
    parser.add_argument("--dimensions", type=int, nargs="*", default=[64, 2048])
    parser.add_argument("--large", type=int, nargs="*", default=[])
    parser.add_argument("--limit", type=float, default=2.0)
    parser.add_argument("--growth", action="store_true")
    arguments = parser.parse_args()
    if arguments.growth:
        write_json(growth.measure(grown()), arguments.json)
        return
    print(f"{torch.get_num_threads()} threads; s: seconds, MiB: growth of the peak memory")
    print(f"{'':<37}{'ours':>17}{'direct':>19}")
    print(TABLE.head())
    cases = [
        *((name, n, d) for d in arguments.dimensions for n in arguments.sizes for name in METRICS),
        *(("manifold", n, arguments.dimensions[0]) for n in arguments.large),
    ]
    rows: list[dict[str, Any]] = []
    for name, count, dimension in cases:
        rows.append(row(name, count, dimension, arguments.limit))
        show(rows[-1])
    write_json({"threads": torch.get_num_threads(), "rows": rows}, arguments.json)


if __name__ == "__main__":
    main()
