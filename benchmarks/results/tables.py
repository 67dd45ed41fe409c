"""Tables and captions of the page of results, as Markdown."""

import statistics
from collections.abc import Iterable, Sequence

from benchmarks.results.records import Record


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is aligned left, the others right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def caption(records: Sequence[Record], *, command: str, planned: int | None = None) -> str:
    """Say how the records were made: how many, seeds, CPU time, machine, versions, command."""
    seeds = sorted({record.settings["seed"] for record in records})
    minutes = [record.cpu_seconds / 60 for record in records]
    of = f" of {planned}" if planned is not None and planned != len(records) else ""
    machines = "; ".join(dict.fromkeys(record.machine for record in records))
    versions = "; ".join(
        dict.fromkeys(f"torch {record.torch}, Python {record.python}" for record in records)
    )
    return (
        f"Runs: {len(records)}{of}; seeds: {', '.join(map(str, seeds))}; "
        f"{statistics.median(minutes):.1f} CPU minutes a run (median), {sum(minutes):.0f} in all; "
        f"{machines}; {versions}. Made by `{command}`."
    )


def mean_and_error(values: Sequence[float], spec: str) -> str:
    """The mean, and from two values on its standard error; a dash without values."""
    if not values:
        return "–"
    mean = f"{statistics.fmean(values):{spec}}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values) / len(values) ** 0.5:{spec}}"
