"""Summary of a comparison: the seeds of each method and setting brought together, as a table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from sngan.report.comparing import compared_pairs, significance, spent, tested
from sngan.report.learning import typical
from sngan.report.results import (
    Band,
    CellSummary,
    ComparisonResult,
    Curve,
    Gradient,
    Interval,
    LayerSpectrum,
    RunResult,
    Spread,
    median_if_all,
)
from sngan.utils.plain import finite
from sngan.utils.tables import NOTHING, format_number, text_table

# the first of these metrics that the runs have ranks the methods
_MAIN = ("frechet", "w1", "sliced_w1")
_MAIN_OF_POINTS = ("w1", "sliced_w1", "frechet")
_COVERAGE = ("modes", "classes")


@dataclass(frozen=True)
class Comparison:
    """A finished comparison: its folder, and the contents of its ``compare.json``."""

    folder: Path
    result: ComparisonResult

    def to_dict(self) -> dict[str, Any]:
        """Return the contents of ``compare.json``: every number behind every chart of the page."""
        differences = [asdict(one) for one in tested(self.result)]
        return self.result.to_dict() | finite({"differences": differences})

    def table(self) -> str:
        """Plain text: a line for each method and setting, then the runs that failed."""
        names = self.result.columns
        head = ["method", "setting", "runs", *names, "Lipschitz", "s/step", "at the end", "failed"]
        rows = [head, *(_cells(cell, names) for cell in self.result.summary)]
        failures = [f"failed: {run.folder}: {run.error}" for run in self.result.runs if run.error]
        parts = [text_table(rows, rule=True), *failures, "", text_table(spent(self.result))]
        tested = compared_pairs(self.result)
        parts += ["", *([text_table(tested)] if tested else []), significance(self.result)]
        return "\n".join(parts)


def summarize(results: Sequence[RunResult]) -> list[CellSummary]:
    """Bring the seeds of each method and setting together, in the order of first appearance."""
    cells: dict[tuple[str, str], list[RunResult]] = {}
    for result in results:
        cells.setdefault((result.method, result.setting), []).append(result)
    return [_summary(method, setting, seeds) for (method, setting), seeds in cells.items()]


def main_metrics(results: Sequence[RunResult]) -> tuple[str | None, str | None]:
    """Return the name of the metric that ranks methods, and of the one that counts modes."""
    names = [name for result in results for name in result.metrics]
    evaluated = [result.evaluated for result in results if result.evaluated]
    of_points = any(one.extractor == "points" for one in evaluated)
    ranked = _MAIN_OF_POINTS if of_points else _MAIN
    main = next((name for name in ranked if name in names), names[0] if names else None)
    return main, next((name for name in _COVERAGE if name in names), None)


def band(curves: Sequence[Curve]) -> Band:
    """``(step, median, lowest, highest)`` over the curves that have a value at the step."""
    at: dict[float, list[float]] = {}
    for step, value in (point for curve in curves for point in curve):
        at.setdefault(step, []).append(value)
    return [(step, median(at[step]), min(at[step]), max(at[step])) for step in sorted(at)]


def _summary(method: str, setting: str, seeds: Sequence[RunResult]) -> CellSummary:
    finished = [seed for seed in seeds if seed.evaluated]
    bounds = [seed.evaluated.lipschitz for seed in seeds if seed.evaluated]
    names = dict.fromkeys(name for seed in finished for name in seed.metrics)
    curves = dict.fromkeys(name for seed in seeds for name in seed.curves)
    first = finished[0] if finished else None
    return CellSummary(
        method=method,
        setting=setting,
        runs=len(seeds),
        failed=len(seeds) - len(finished),
        metrics={name: Spread.of(seed.metrics.get(name) for seed in finished) for name in names},
        lipschitz=Interval(
            median_if_all(one.lower for one in bounds), median_if_all(one.upper for one in bounds)
        ),
        layers=_spectra(first) if first else [],
        gradient=_gradient([seed.gradient for seed in seeds]),
        seconds_per_step=Spread.of(seed.seconds_per_step for seed in seeds),
        curves={name: band([seed.curves.get(name, []) for seed in seeds]) for name in curves},
        samples=f"{first.folder}/{first.samples}" if first and first.samples else None,
        learning=typical([seed.learning for seed in finished]),
        effort=next((seed.effort for seed in [*finished, *seeds] if seed.effort), None),
        cpu_seconds=Spread.of(seed.cpu_seconds for seed in finished),
    )


def _gradient(seeds: Sequence[Gradient | None]) -> Gradient:
    return Gradient(
        median=median_if_all(seed and seed.median for seed in seeds),
        vanishing=median_if_all(seed and seed.vanishing for seed in seeds),
        exploding=median_if_all(seed and seed.exploding for seed in seeds),
    )


def _spectra(result: RunResult) -> list[LayerSpectrum]:
    """The spectra of the layers whose weights are not all zero."""
    layers = result.evaluated.lipschitz.layers if result.evaluated else []
    return [
        LayerSpectrum(
            layer.name, layer.sigma, [value / layer.spectrum[0] for value in layer.spectrum]
        )
        for layer in layers
        if layer.spectrum and layer.spectrum[0] > 0
    ]


def _cells(cell: CellSummary, names: Sequence[str]) -> list[str]:
    lower, upper = (
        format_number(bound, unknown="?") for bound in (cell.lipschitz.lower, cell.lipschitz.upper)
    )
    return [
        cell.method,
        cell.setting,
        str(cell.runs),
        *(str(cell.metric(name)) for name in names),
        NOTHING if cell.runs == cell.failed else f"{lower} … {upper}",
        format_number(cell.seconds_per_step.mean),
        cell.remark,
        str(cell.failed or NOTHING),
    ]
