"""Records of measured runs, and the program that makes the missing ones."""

import argparse
import functools
import hashlib
import inspect
import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import cpu_seconds, timed
from sngan.utils.files import write_bytes

FOLDER = Path(__file__).parent / "records"
_DIGITS = 5


class Skipped(Exception):  # noqa: N818
    """A cell cannot be measured yet; the message says why."""


@dataclass(frozen=True)
class Cell:
    """One run of a table: a key that people can read, and all settings that decide its numbers."""

    key: str
    settings: dict[str, Any]

    @property
    def file(self) -> str:
        text = json.dumps(self.settings, sort_keys=True)
        return f"{self.key}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"


@dataclass(frozen=True)
class Record:
    """The numbers of one run, with the CPU time that it took and where."""

    key: str
    settings: dict[str, Any]
    result: dict[str, Any]
    cpu_seconds: float
    machine: str
    torch: str
    python: str


def load(name: str, folder: Path = FOLDER) -> list[Record]:
    """Read all records of a table, in the order of their names."""
    paths = sorted((folder / name).glob("*.json"))
    return [Record(**json.loads(path.read_text())) for path in paths]


def measure(cell: Cell, run: Callable[[Cell], dict[str, Any]], path: Path) -> Record:
    """Run a cell and write its record in one piece."""
    result, seconds = timed(lambda: run(cell))
    record = Record(
        cell.key,
        cell.settings,
        short(result),
        round(seconds.cpu, 1),
        machine(),
        torch.__version__,
        platform.python_version(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, (json.dumps(asdict(record)) + "\n").encode())
    return record


def main(
    name: str,
    cells: Callable[[Sequence[int]], list[Cell]],
    run: Callable[[Cell], dict[str, Any]],
    *,
    seeds: int = 3,
    arguments: Sequence[str] | None = None,
) -> None:
    """Measure the cells of a table that have no record; a stop loses only the run in progress.

    Parameters
    ----------
    name
        The name of the table.
    cells, run
        The functions of the table module.
    seeds
        How many seeds there are if ``--seeds`` is left out.
    arguments
        The command line; left out: that of the process.
    """
    doc = inspect.getdoc(inspect.getmodule(run)) or name
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=[], help="cells whose key has one of these")
    parser.add_argument("--seeds", type=int, default=seeds, help="how many seeds, from 0")
    parser.add_argument("--budget-minutes", type=float, default=float("inf"), help="CPU time")
    parser.add_argument("--records", type=Path, default=FOLDER, help="folder of all records")
    given = parser.parse_args(arguments)
    wanted = [
        cell
        for cell in cells(range(given.seeds))
        if not given.only or any(text in cell.key for text in given.only)
    ]
    paths = {cell.key: given.records / name / cell.file for cell in wanted}
    missing = [cell for cell in wanted if not paths[cell.key].exists()]
    print(f"{name}: {len(wanted) - len(missing)} of {len(wanted)} records exist", flush=True)
    begun = cpu_seconds()
    for index, cell in enumerate(missing, len(wanted) - len(missing) + 1):
        minutes = (cpu_seconds() - begun) / 60
        if minutes >= given.budget_minutes:
            print(f"stopped after {minutes:.0f} CPU minutes; the same command goes on", flush=True)
            return
        try:
            record = measure(cell, run, paths[cell.key])
            said = f"{record.cpu_seconds:.0f} CPU s  {_words(record.result)}"
        except Skipped as reason:
            said = f"skipped: {reason}"
        print(f"[{index}/{len(wanted)}] {cell.key}: {said}", flush=True)


@functools.cache
def machine() -> str:
    """Name the processor, and count the cores that this process may use."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = named[0] if named else platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def short(values: Any) -> Any:
    """Round numbers to five digits, and replace those that are not finite by None."""
    if isinstance(values, dict):
        return {key: short(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [short(value) for value in values]
    if isinstance(values, float):
        rounded = float(f"{values:.{_DIGITS}g}")
        return rounded if abs(rounded) < float("inf") else None
    return values


def _words(result: dict[str, Any]) -> str:
    numbers = {key: value for key, value in result.items() if isinstance(value, int | float)}
    return "  ".join(f"{key} {value:.4g}" for key, value in numbers.items())
