"""Arguments, timing, tables and result files of all benchmarks."""

import argparse
import json
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

T = TypeVar("T")


def argument_parser(doc: str | None, name: str) -> argparse.ArgumentParser:
    """A parser described by the first line of ``doc``, with the option ``--json FILE``."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, default=Path(f"benchmarks/results/{name}.json"))
    return parser


def write_json(results: object, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"written: {path}")


def versions() -> str:
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads"


class Seconds(NamedTuple):
    """Wall time, and CPU time of this process and of its ended child processes."""

    wall: float
    cpu: float


def cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def timed(job: Callable[[], T]) -> tuple[T, Seconds]:
    """The result of a job and its time."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    result = job()
    return result, Seconds(time.perf_counter() - wall, cpu_seconds() - cpu)


def interleaved(
    jobs: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int = 0
) -> dict[str, list[Seconds]]:
    """Run each job once a round, so that a slow moment hits all; return the times of the rounds.

    Each round starts with the next job, so that no job always runs after the heaviest one. The
    first ``warm_up`` rounds do not count.
    """
    names = list(jobs)
    taken: dict[str, list[Seconds]] = {name: [] for name in names}
    for index in range(rounds + warm_up):
        turn = index % len(names)
        for name in names[turn:] + names[:turn]:
            _, seconds = timed(jobs[name])
            if index >= warm_up:
                taken[name].append(seconds)
    return taken


def medians(taken: Sequence[Seconds]) -> Seconds:
    return Seconds(*(statistics.median(column) for column in zip(*taken, strict=True)))


def median_ratios(mine: Sequence[Seconds], theirs: Sequence[Seconds]) -> Seconds:
    """The medians over rounds of ``mine / theirs``, for wall and for CPU time."""
    return medians(
        [Seconds(a.wall / b.wall, a.cpu / b.cpu) for a, b in zip(mine, theirs, strict=True)]
    )


def compared(
    jobs: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int
) -> dict[str, dict[str, float]]:
    """The seconds of each job, wall and CPU, and the ratios of the first job's to them."""
    taken = interleaved(jobs, rounds=rounds, warm_up=warm_up)
    first = next(iter(taken.values()))
    rows: dict[str, dict[str, float]] = {}
    for name, times in taken.items():
        seconds, ratios = medians(times), median_ratios(first, times)
        rows[name] = {
            "wall_seconds": seconds.wall,
            "cpu_seconds": seconds.cpu,
            "wall_ratio": ratios.wall,
            "cpu_ratio": ratios.cpu,
        }
    return rows


def synchronized(job: Callable[[], object], device: str) -> Callable[[], object]:
    """Return the job; on a GPU the returned job also waits until the GPU has finished."""

    def run() -> None:
        job()
        torch.cuda.synchronize()

    return run if device == "cuda" else job


def peak_mebibytes() -> float:
    """The largest memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_new_process(function: Callable[..., T], *arguments: object) -> T:
    """Call the function in a new process, so that its memory and its caches are its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


@dataclass(frozen=True)
class Table:
    """Lines of a name and several values; ``columns`` are headings with formats such as ``8.3f``.

    Lines are printed one by one, because some benchmarks take minutes.
    """

    first: str
    width: int
    columns: Sequence[tuple[str, str]]

    def head(self) -> str:
        titles = (f"{title:>{_width(spec)}}" for title, spec in self.columns)
        return " ".join([f"{self.first:{self.width}}", *titles])

    def line(self, name: str, *values: float | None) -> str:
        cells = (
            " " * _width(spec) if value is None else f"{value:{spec}}"
            for value, (_, spec) in zip(values, self.columns, strict=True)
        )
        return " ".join([f"{name:{self.width}}", *cells]).rstrip()


def _width(spec: str) -> int:
    return int(spec.lstrip("+").partition(".")[0].rstrip(","))
