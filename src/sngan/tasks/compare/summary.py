"""The rows of all runs brought together: over seeds, in a table, and as JSON."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sngan.utils.tables import figure, text_table, with_spread

# the first of these that was measured leads the table; modes or classes stand beside it
_MAIN = ("frechet", "w1", "sliced_w1")
_MAIN_OF_POINTS = ("w1", "sliced_w1", "frechet")
_COVERAGE = ("modes", "classes")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """What came out of a comparison: the contents of ``compare.json`` in ``folder``."""

    folder: Path
    data: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Data for JSON: every number behind every chart of the page."""
        return self.data

    def table(self) -> str:
        """Plain text: a line for each method and setting, then the runs that failed."""
        metric, coverage = self.data["metric"], self.data["coverage"]
        head = ["method", "setting", "runs", *filter(None, [metric, coverage])]
        head += ["Lipschitz", "s/step", "failed"]
        rows = [head, *(_cells(row, metric, coverage) for row in self.data["summary"])]
        broken = [run for run in self.data["runs"] if run["error"]]
        return "\n".join(
            [
                text_table(rows, rule=True),
                *(f"failed: {run['folder']}: {run['error']}" for run in broken),
            ]
        )


def summarize(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Bring the seeds of each method and setting together, in the order of first appearance."""
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        cells.setdefault((row["method"], row["setting"]), []).append(row)
    return [_summary(method, setting, seeds) for (method, setting), seeds in cells.items()]


def main_metrics(rows: Sequence[Row]) -> tuple[str | None, str | None]:
    """Name the metric that ranks methods, and the one that counts what is covered."""
    names = [name for row in rows for name in row.get("evaluation") or {}]
    of_points = any(row.get("extractor") == "points" for row in rows)
    ranked = _MAIN_OF_POINTS if of_points else _MAIN
    main = next((name for name in ranked if name in names), names[0] if names else None)
    return main, next((name for name in _COVERAGE if name in names), None)


def _summary(method: str, setting: str, seeds: Sequence[Row]) -> dict[str, Any]:
    whole = [row for row in seeds if not row["error"]]
    names = dict.fromkeys(name for row in whole for name in row["evaluation"])
    curves = dict.fromkeys(name for row in seeds for name in row["curves"])
    first = whole[0] if whole else None
    return {
        "method": method,
        "setting": setting,
        "runs": len(seeds),
        "failed": len(seeds) - len(whole),
        "metrics": {name: _spread(row["evaluation"].get(name) for row in whole) for name in names},
        "lipschitz": {
            key: _middle(row["lipschitz"][key] for row in whole) for key in ("lower", "upper")
        },
        "layers": _layers(first) if first else [],
        "gradient": {
            key: _middle((row["gradient"] or {}).get(key) for row in seeds)
            for key in ("median", "vanishing", "exploding")
        },
        "seconds_per_step": _spread(row["seconds_per_step"] for row in seeds),
        "curves": {name: _band([row["curves"].get(name, []) for row in seeds]) for name in curves},
        "samples": f"{first['folder']}/{first['samples']}" if first and first["samples"] else None,
    }


def _spread(values: Iterable[float | None]) -> dict[str, Any]:
    """Mean and sample standard deviation of what is known; without two values no deviation."""
    known = [value for value in values if value is not None]
    return {
        "mean": statistics.mean(known) if known else None,
        "spread": statistics.stdev(known) if len(known) > 1 else None,
        "values": known,
    }


def _middle(values: Iterable[float | None]) -> float | None:
    """The median; unknown (or infinite) as soon as one of them is."""
    found = list(values)
    known = [value for value in found if value is not None]
    return statistics.median(known) if known and len(known) == len(found) else None


def _layers(row: Row) -> list[dict[str, Any]]:
    """The layers with weights: σ, and singular values relative to the largest."""
    return [
        {
            "name": layer["name"],
            "sigma": layer["sigma"],
            "spectrum": [value / layer["spectrum"][0] for value in layer["spectrum"]],
        }
        for layer in row["lipschitz"]["layers"]
        if layer["spectrum"] and layer["spectrum"][0] > 0
    ]


def _band(curves: Sequence[Sequence[Sequence[float]]]) -> list[tuple[float, float, float, float]]:
    """``(step, median, lowest, highest)`` over the seeds that have a value at the step."""
    at: dict[float, list[float]] = {}
    for step, value in (point for curve in curves for point in curve):
        at.setdefault(step, []).append(value)
    return [
        (step, statistics.median(at[step]), min(at[step]), max(at[step])) for step in sorted(at)
    ]


def _cells(row: Row, metric: str | None, coverage: str | None) -> list[str]:
    bounds = [figure(row["lipschitz"][key], unknown="?") for key in ("lower", "upper")]
    figures = [row["metrics"].get(name) or {} for name in (metric, coverage) if name]
    return [
        row["method"],
        row["setting"],
        str(row["runs"]),
        *(with_spread(f.get("mean"), f.get("spread")) for f in figures),
        "–" if row["runs"] == row["failed"] else f"{bounds[0]} … {bounds[1]}",
        figure(row["seconds_per_step"]["mean"]),
        str(row["failed"] or "–"),
    ]
