"""Growth of the cost of a computation with the size of its problem, fitted by a power.

Each size runs in a process of its own with one thread, after the smallest size as a warm-up. Time
is CPU time, because other jobs disturb it less than wall time. Memory is the growth of the
process's peak since the warm-up. An exponent is the slope of log cost against log size by least
squares, over the points above the resolution of the measurement.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.common import in_new_process, peak_mebibytes, timed

LEAST_SECONDS, LEAST_MEBIBYTES = 0.01, 4.0


@dataclass(frozen=True)
class Series:
    """A computation of growing size: ``compute(size)`` prepares it for timing.

    It returns the function to time, which returns facts to show beside the cost.
    """

    name: str
    compute: Callable[[int], Callable[[], dict[str, float]]]
    sizes: Sequence[int]


def cost(series: Series, size: int) -> dict[str, float]:
    """CPU seconds, growth of the peak memory in MiB and facts, in this process."""
    torch.set_num_threads(1)
    series.compute(series.sizes[0])()
    run = series.compute(size)
    peak = peak_mebibytes()
    facts, seconds = timed(run)
    return {
        "size": size,
        "seconds": seconds.cpu,
        "mebibytes": peak_mebibytes() - peak,
        **facts,
    }


def exponent(rows: Sequence[dict[str, float]], key: str, least: float) -> float | None:
    """The power of the size that ``key`` grows with; ``None`` with fewer than three points."""
    points = [(row["size"], row[key]) for row in rows if row[key] >= least]
    if len(points) < 3:
        return None
    sizes, values = np.log(np.array(points)).T
    return float(np.polyfit(sizes, values, 1)[0])


def measure(many: Sequence[Series]) -> list[dict[str, Any]]:
    """Measure every size of every series and print one line for each, with the exponents."""
    print("CPU s of one thread, MiB of peak memory; t ~ size^a, m ~ size^b")
    results: list[dict[str, Any]] = []
    for series in many:
        rows = [in_new_process(cost, series, size) for size in series.sizes]
        powers = {
            "time": exponent(rows, "seconds", LEAST_SECONDS),
            "memory": exponent(rows, "mebibytes", LEAST_MEBIBYTES),
        }
        results.append({"series": series.name, "rows": rows, "exponents": powers})
        shown = ", ".join(f"{key} {value:.2f}" for key, value in powers.items() if value)
        print(f"{series.name}: {shown or 'too small for a fit'}")
        for row in rows:
            print("   ", "  ".join(f"{key} {value:.4g}" for key, value in row.items()), flush=True)
    return results
